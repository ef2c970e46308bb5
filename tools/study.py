"""Study: the comparisons of several data sets in one table and one forest plot."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('study')
