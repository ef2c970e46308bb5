"""Lines for people on a terminal, or in a log file."""

from __future__ import annotations

from mmengine.dist import is_main_process
from rich.console import Console
from rich.text import Text


def say(text: str, console: Console) -> None:
    """Prints one line as it is, on the main process."""
    if is_main_process():
        # Not the string, in which rich would see markup and emoji.
        console.print(Text(text), soft_wrap=True)


def make_console(quiet: bool = False) -> Console:
    """A console on standard output; wide enough for tables where it is no terminal.

    Args:
        quiet: Whether nothing is shown, as another process shows the same.
    """
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(width=120, quiet=quiet)


def duration(seconds: float) -> str:
    """Seconds in words: ``'42 s'``, ``'3 min 10 s'``, ``'2 h 05 min'``."""
    seconds = round(seconds)
    if seconds < 60:
        return f'{seconds} s'
    if seconds < 3600:
        return f'{seconds // 60} min {seconds % 60:02d} s'
    return f'{seconds // 3600} h {seconds % 3600 // 60:02d} min'
