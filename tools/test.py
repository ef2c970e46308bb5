"""Evaluates a checkpoint or a soup on every set that a config names."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('test')
