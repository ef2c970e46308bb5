"""Which commands there are, and how they are typed."""

from __future__ import annotations

from typing import NamedTuple

CONSOLE = 'ff-mm'


class Command(NamedTuple):
    """What can be typed as ``ff-mm <name>``.

    Its options are in ``ff_mm_commands/<name>.py``, as ``add_options(parser)``.

    Attributes:
        summary: What it does, in a line of ``ff-mm --help``.
        tool: The file of ``tools/`` that is the same; None: there is none.
        body: The module of ``ff_mm.commands`` whose ``run(args)`` carries it out; None:
            the one of the same name.
        goes_on: Whether the same command goes on where a terminated one has ended.
    """

    summary: str
    tool: str | None = None
    body: str | None = None
    goes_on: bool = True


COMMANDS = {
    'train': Command('fission: train a plan, or a single run', 'train.py'),
    'soup': Command('fusion: make soups of the models of a plan', 'soup.py'),
    'fuse': Command('from a pool to the one model to deploy', 'fuse.py'),
    'compare': Command('all methods on all sets, with intervals', 'compare.py'),
    'study': Command('the comparisons of several data sets together', 'study.py'),
    'test': Command('a checkpoint or soup on all sets', 'test.py', goes_on=False),
    'predict': Command('what a model sees in images', 'predict.py', goes_on=False),
    'export': Command(
        'a model as safetensors, ONNX, or a folder for the hub',
        'export.py',
        goes_on=False,
    ),
    'check': Command(
        'look at all images of the data sets of a config',
        'dataset_converters/check_dataset.py',
        goes_on=False,
    ),
    'resize': Command(
        'make a smaller copy of a data set', 'dataset_converters/resize_dataset.py'
    ),
    'lmc': Command(
        'linear mode connectivity: paths between models',
        'analysis_tools/lmc.py',
        'analysis',
    ),
    'loss-surface': Command(
        'planes through models, and how rough they are',
        'analysis_tools/loss_surface.py',
        'analysis',
    ),
    'trajectory': Command(
        'how models came about, and how far apart they are',
        'analysis_tools/trajectory.py',
        'analysis',
    ),
    'soup-tree': Command(
        'what a soup is made of, and why', 'analysis_tools/soup_tree.py', 'analysis'
    ),
    'overlays': Command(
        'masks over images, and what a soup changes',
        'analysis_tools/overlays.py',
        'analysis',
    ),
    'configs': Command('list the configs that come with ff_mm'),
    'where': Command('show where the configs and tools of ff_mm are'),
}

# What this process was started as: the console command, or a file of tools/.
_as_console: list[bool] = [False]


def started_as_console() -> None:
    """Notes that this process is ``ff-mm``, so that messages name its commands."""
    _as_console[0] = True


def typed(name: str) -> str:
    """Returns how a command is typed by who has started this process.

    Args:
        name: The command, such as ``'soup'``.

    Returns:
        ``'ff-mm soup'``, or ``'python tools/soup.py'``.
    """
    tool = COMMANDS[name].tool
    if _as_console[0] or tool is None:
        return f'{CONSOLE} {name}'
    return f'python tools/{tool}'


def called(name: str) -> str:
    """Returns what a command is called: ``'ff-mm soup'``, or ``'tools/soup.py'``."""
    return typed(name).removeprefix('python ')


def as_typed(text: str) -> str:
    """Returns a text about files of ``tools/`` as who has started this types them."""
    for name, command in COMMANDS.items():
        if command.tool is not None:
            text = text.replace(f'python tools/{command.tool}', typed(name))
            text = text.replace(f'tools/{command.tool}', called(name))
    return text
