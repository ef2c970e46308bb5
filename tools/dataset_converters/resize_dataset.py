"""Resizes all images of a data set once, so that no epoch decodes them at full size."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('resize')
