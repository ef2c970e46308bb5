"""How plots look: for print, and told apart without colour."""

from __future__ import annotations

#: Inches: one column of a page, and two.
COLUMN, PAGE = 3.4, 7.0
INK, FAINT, PAPER = '#1a1a1a', '#b9b9b9', '#ffffff'
#: Of Okabe and Ito, in an order in which neighbours differ in luminance too.
COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7')
#: For quantities: from low to high evenly in luminance, also without colour.
COLOUR_MAP = 'viridis'

RC = {
    # matplotlib brings it; what shows an SVG may have to do with another.
    'font.family': ['DejaVu Sans', 'sans-serif'],
    'font.size': 7.5,
    'axes.labelsize': 8,
    'axes.titlesize': 8,
    'xtick.labelsize': 7,
    'ytick.labelsize': 7,
    'legend.fontsize': 7,
    'axes.linewidth': 0.6,
    'xtick.major.width': 0.6,
    'ytick.major.width': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': INK,
    'axes.labelcolor': INK,
    'axes.titlecolor': INK,
    'axes.facecolor': 'none',
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
    # Titles are users' own: a dollar sign is one.
    'text.parse_math': False,
    'axes.unicode_minus': False,
    # Text stays text, to be searched and edited.
    'pdf.fonttype': 42,
    'svg.fonttype': 'none',
    # The same numbers give the same file.
    'svg.hashsalt': 'ff_mm',
}
