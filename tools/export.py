"""Writes a model in the formats of others, see docs/using_a_model.md."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('export')
