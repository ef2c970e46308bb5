"""From the words of a command line to what carries them out."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ff_mm_commands.folders import version
from ff_mm_commands.table import COMMANDS, CONSOLE, as_typed, started_as_console


class _Parser(argparse.ArgumentParser):
    """One that answers a mistyped option with the nearest one."""

    def error(self, message: str) -> NoReturn:
        """Ends the program, as argparse does, with a hint if there is one."""
        known = self._option_string_actions
        for word in message.split():
            option = word.split('=')[0].rstrip(':')  # 'argument --device: invalid ...'
            if option.startswith('--') and option not in known:
                if close := difflib.get_close_matches(option, known, n=1):
                    message += f'; did you mean {close[0]}?'
                break
        super().error(message)


def run(
    name: str, words: Sequence[str] | None = None, program: str | None = None
) -> None:
    """Reads the command line of a command, and carries it out.

    Args:
        name: One of :data:`~ff_mm_commands.table.COMMANDS`.
        words: What was typed after it; None: what this process was started with.
        program: What ``--help`` says that was typed; None: the file of this process.
    """
    command, module = COMMANDS[name], name.replace('-', '_')
    options = import_module(f'ff_mm_commands.{module}')
    parser = _Parser(
        prog=program,
        description=as_typed(options.__doc__ or ''),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_options(parser)
    words = list(sys.argv[1:] if words is None else words)
    args = parser.parse_args(words, argparse.Namespace(words=words))
    if hasattr(options, 'check'):
        options.check(parser, args)
    if hasattr(options, 'run'):  # it needs nothing of ff_mm
        options.run(args)
        return
    try:
        from ff_mm import cli
    except ImportError as error:
        if not str(error).startswith('ff_mm: '):  # else what to install
            raise
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)

    def carry_out() -> None:
        import_module(f'ff_mm.commands.{command.body or module}').run(args)

    cli.run(carry_out, command.goes_on)


def main(words: Sequence[str] | None = None) -> None:
    """Is ``ff-mm``: takes the first word for a command, and the others for its own.

    Args:
        words: What was typed after it; None: what this process was started with.
    """
    words = list(sys.argv[1:] if words is None else words)
    started_as_console()
    if not words or words[0] in ('-h', '--help'):
        print(_help())
    elif words[0] == '--version':
        print(f'ff_mm {version()}')
    elif words[0] in COMMANDS:
        run(words[0], words[1:], f'{CONSOLE} {words[0]}')
    else:
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f'did you mean {close[0]}?' if close else 'see ff-mm --help'
        print(f'error: {words[0]!r}: no such command; {hint}', file=sys.stderr)
        sys.exit(2)


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f'  {name:<{width}}  {c.summary}' for name, c in COMMANDS.items()]
    lines = [
        f'usage: {CONSOLE} COMMAND ...',
        '',
        'One model from many fine-tunings, that costs no more to use than any one of',
        'them: FissionFusion for MMPretrain.',
        '',
        *rows,
        '',
        f'{CONSOLE} COMMAND --help shows the options of a command. A config is a file,',
        f'or the name of one that comes with ff_mm ({CONSOLE} configs).',
        '',
        f'  {CONSOLE} train fgg_digits_resnet18',
        f'  {CONSOLE} soup gog_digits_resnet18 --soup best uniform greedy gou gog',
    ]
    return '\n'.join(lines)
