"""Linear mode connectivity: how models fare on the straight lines between them."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('lmc')
