"""What the commands share: reading the config, and errors without a traceback."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mmengine.config import Config

from ff_mm.config import load_config
from ff_mm.display.output import output_that_may_end
from ff_mm.engine.device import use_device
from ff_mm.engine.distributed import leave_distributed, use_port
from ff_mm.engine.weights_only import weights_only
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import check_folder
from ff_mm.fission.trial_runner import failure_of
from ff_mm.one_line import one_line
from ff_mm.option_values import option_texts
from ff_mm.parallel.termination import (
    TERMINATED,
    Terminated,
    termination_as_exception,
)
from ff_mm.parallel.together import AnotherFailed
from ff_mm.plain import not_utf8
from ff_mm.tracking import add_trackers
from ff_mm_commands.folders import shipped, soup_names
from ff_mm_commands.table import typed

# Key that tells a config's kind -> kind, and the command that carries it out.
_KINDS = {
    'fusions': ('a fuse', 'fuse'),  # whatever else there is: it can have a plan
    'plan': ('a generation', 'train'),
    'ingredients': ('a fusion', 'soup'),
    'pools': ('a comparison', 'compare'),
}

# Each file of it is a soup that --soup takes.
SOUPS = shipped('configs') / '_base_' / 'soups'

# What the system refuses -> what is wrong, and what to do.
_GO_ON = 'and give the same command again; nothing finished is lost'
_OTHER = 'give another name'
_REFUSALS = {
    errno.ENOSPC: f'no space left on the disk: free some {_GO_ON}',
    errno.EDQUOT: f'your quota of the disk is used up: free some {_GO_ON}',
    errno.EROFS: f'the file system is read-only: have it made writable {_GO_ON}',
    errno.EACCES: f'permission denied: look at the owner and the mode {_GO_ON}',
    errno.EPERM: f'operation not permitted: look at the owner and the mode {_GO_ON}',
    errno.ENOMEM: f'out of memory: free some {_GO_ON}',
    errno.EFBIG: f'larger than files may be here (ulimit -f): raise that {_GO_ON}',
    errno.EMFILE: f'too many open files (ulimit -n): raise that {_GO_ON}',
    errno.ENFILE: f'too many open files on this machine: close some {_GO_ON}',
    errno.EIO: f'the disk cannot read or write it: have it looked at {_GO_ON}',
    errno.ESTALE: f'the network file system has lost it: mount it anew {_GO_ON}',
    errno.ETIMEDOUT: f'the network file system does not answer: wait {_GO_ON}',
    errno.EEXIST: f'something else is there already: move it, or {_OTHER}',
    errno.ENOTDIR: f'a part of this path is no folder: {_OTHER}',
    errno.EISDIR: f'is a folder, expected a file: {_OTHER}',
    errno.ENAMETOOLONG: f'this name is too long: {_OTHER}',
    errno.ELOOP: f'a link leads to itself: remove it, or {_OTHER}',
}


def read_config(
    args: argparse.Namespace, path: str | Path, soup: str | None = None
) -> Config:
    """Reads the config that a tool was called with.

    Args:
        args: Options of :func:`ff_mm_commands.options.add_common_options`.
        path: The config file.
        soup: The name of a soup in place of the config's own.

    Raises:
        ConfigError: No such config or soup.
        NotRegularError: The work directory is none.
        OSError: Its name is too long, or a link to itself.
        DeviceError: There is a GPU that cannot be used.
    """
    use_device(getattr(args, 'device', None))
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    file = None if soup is None else _soup_file(soup)
    recipe = getattr(args, 'recipe', None)
    cfg = load_config(path, option_texts(args.cfg_options), file, recipe)
    add_trackers(cfg, getattr(args, 'log_to', ()))
    cfg.launcher = args.launcher
    use_port(cfg)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir if soup is None else f'{args.work_dir}/{soup}'
    check_folder(cfg.work_dir)
    if wrong := not_utf8([str(cfg.work_dir)]):
        raise ConfigError(f'work_dir: {wrong[0]} is not UTF-8: give another folder')
    return cfg


def _soup_file(name: str) -> Path:
    names = soup_names(SOUPS)
    if name not in names:
        raise ConfigError(f'--soup {name}: no such soup, there are {", ".join(names)}')
    return SOUPS / f'{name}.py'


def check_kind(cfg: Config, key: str) -> None:
    """Refuses a config that is for another tool.

    Args:
        cfg: The config.
        key: The key that it should have, or else none of the others: ``'plan'``,
            ``'ingredients'``, ``'pools'`` or ``'fusions'``.

    Raises:
        ConfigError: With the command that takes it.
    """
    for other, (kind, command) in _KINDS.items():
        if other != key and other in cfg and (key not in cfg or other == 'fusions'):
            raise ConfigError(
                f'{cfg.filename} is {kind} config: {typed(command)} {cfg.filename}'
            )


def run(main: Callable[[], Any], goes_on: bool = True) -> None:
    """Runs a tool; what the user can mend is said in its own words, and no more.

    No checkpoint that the tool or any library loads can run code: torch is told so for
    the whole process. Exits with 2 for an :class:`~ff_mm.errors.FFMMError`, with 1 if
    the disk or the memory is full or a file must not be written or read, with 130 when
    interrupted, and with 0 when terminated by SIGTERM, so that a scheduler may start it
    again. If nobody reads what is printed it goes on.

    Args:
        main: The tool.
        goes_on: Whether the same command goes on where a terminated one ended; if not,
            it exits with 143, as programs do.
    """
    with weights_only(), output_that_may_end() as lost:
        _run(main, goes_on, lost)


def _run(
    main: Callable[[], Any], goes_on: bool, lost: Callable[[], OSError | None]
) -> None:
    try:
        with termination_as_exception():
            main()
        leave_distributed()
        if (reason := lost()) is not None:
            raise reason
    except AnotherFailed:
        sys.exit(2)  # that process says what is wrong
    except FFMMError as error:
        _leave(f'error: {error}', 2)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        where = '' if error.filename is None else f'{one_line(str(error.filename))}: '
        _leave(f'error: {where}{_REFUSALS[error.errno]}', 1)
    except (MemoryError, RuntimeError) as error:
        if (failure := failure_of(error)) is None:
            raise
        _leave(f'error: {failure.kind}: {failure.reason}', 1)
    except ImportError as error:
        if 'please install' not in str(error):  # as MMPretrain says of timm
            raise
        _leave(f'error: {one_line(str(error))}', 2)
    except KeyboardInterrupt:
        _leave('interrupted; the same command goes on from here', 130)
    except Terminated:
        if not goes_on:
            _leave('terminated', TERMINATED)
        leave_distributed()  # all ranks come here together
        kept = 'everything finished is kept, the same command goes on from here'
        _leave(f'terminated; {kept}', 0)


def _leave(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)
