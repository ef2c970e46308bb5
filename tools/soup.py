"""Fusion: makes one model of the ingredients that a generation left behind."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('soup')
