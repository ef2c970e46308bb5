"""Checks the data sets that a config names, image by image."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('check')
