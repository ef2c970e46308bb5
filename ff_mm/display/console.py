"""Lines for people on a terminal, or in a log file."""

from __future__ import annotations

import logging

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.console import Console
from rich.text import Text

from ff_mm.one_line import one_line


def words(text: str, style: str = '') -> Text:
    """Makes one line of text for rich: no markup, no emoji, no commands.

    Args:
        text: Names of anyone may be in it.
        style: How it looks, in rich's words.
    """
    return Text(one_line(text), style=style)


def stacked(*lines: Text) -> Text:
    """Puts lines below each other, as in a cell of a table."""
    return Text('\n').join(lines)


def say(text: str, console: Console) -> None:
    """Prints one line, on the main process."""
    if is_main_process():
        console.print(words(text), soft_wrap=True)


def log(text: str, level: int = logging.WARNING) -> None:
    """Writes one line to the current log."""
    print_log(one_line(text), logger='current', level=level)


def make_console(quiet: bool = False) -> Console:
    """A console on standard output; wide enough for tables where it is no terminal.

    Args:
        quiet: Whether nothing is shown, as another process shows the same.
    """
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(width=120, quiet=quiet)


def size(number: float) -> str:
    """Bytes in words: ``'45 MB'``, ``'1.8 GB'``."""
    if number < 1e5:
        return f'{number / 1e3:.1f} kB'
    if number < 999.5e6:
        return f'{number / 1e6:,.{0 if number >= 1e7 else 1}f} MB'
    return f'{number / 1e9:,.1f} GB'


def duration(seconds: float) -> str:
    """Seconds in words: ``'42 s'``, ``'3 min 10 s'``, ``'2 h 05 min'``."""
    seconds = round(seconds)
    if seconds < 60:
        return f'{seconds} s'
    if seconds < 3600:
        return f'{seconds // 60} min {seconds % 60:02d} s'
    return f'{seconds // 3600} h {seconds % 3600 // 60:02d} min'
