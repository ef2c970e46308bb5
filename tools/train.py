"""Fission: trains what a config says, a plan or a single run."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('train')
