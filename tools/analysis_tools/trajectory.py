"""Trajectories: how ingredients came about, how far apart and different they are."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('trajectory')
