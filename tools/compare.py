"""Comparison: all methods on all sets, with intervals, cost and a recommendation."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('compare')
