"""Loss surfaces: a plane through three models, or random directions from one."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('loss-surface')
