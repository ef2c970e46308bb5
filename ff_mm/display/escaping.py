"""Text of others in the formats that we write: there it means nothing but itself."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ff_mm.one_line import one_line

_BREAKS = str.maketrans('\n\r', '  ')
# What would end a cell or become markup. Underscores inside words are left alone.
_MARKDOWN = str.maketrans({c: f'\\{c}' for c in '\\|*`<>[]~'} | {'&': '&amp;'})
_LATEX = str.maketrans(
    {
        '\\': r'\textbackslash{}',
        '~': r'\textasciitilde{}',
        '^': r'\textasciicircum{}',
        '<': r'\textless{}',
        '>': r'\textgreater{}',
        '|': r'\textbar{}',
        '±': r'$\pm$',
        **{character: f'\\{character}' for character in '&%$#_{}'},
    }
)
# With these a formula of a spreadsheet begins, be they as wide as Chinese characters.
_FORMULA = tuple('=+-@＝＋－＠')


def markdown(text: str) -> str:
    """Escapes a text for Markdown, HTML within it included; it is one line."""
    return one_line(text.translate(_BREAKS)).translate(_MARKDOWN)


def latex(text: str) -> str:
    """Escapes a text for LaTeX; it is one line."""
    return one_line(text.translate(_BREAKS)).translate(_LATEX)


def csv_cell(value: Any) -> Any:
    """Keeps a spreadsheet from taking a text for a formula, by an apostrophe.

    Numbers stay what they are, negative ones too, be they written as text.
    """
    if not isinstance(value, str):
        return value
    text = one_line(value)
    if not text.lstrip().startswith(_FORMULA):
        return text
    with suppress(ValueError):
        float(text)
        return text
    return f"'{text}"


def svg(text: str) -> str:
    """Escapes what XML has no place for in the text of a whole file."""
    return '\n'.join(map(one_line, text.split('\n')))
