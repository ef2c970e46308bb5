"""From a pool to the one model to deploy."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('fuse')
