"""What a soup is made of: a tree of what went in, what was left out, and why."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('soup-tree')
