"""Masks over images: the truth, what models say, and what a soup changes."""
