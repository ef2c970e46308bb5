"""Masks over images: truth, best single model, soup, and what the soup changes."""

from ff_mm_commands import run

if __name__ == '__main__':
    run('overlays')
