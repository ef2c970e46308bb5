"""What MMEngine and torch do otherwise than ff_mm needs.

``BaseDataset.get_subset``, which ``KFoldDataset`` uses, deep-copies with a memo that is
a default argument: it outlives the call, so a later copy can be given objects of
another data set whose address was the same. With many runs in one process that happens.

MMEngine knows no ``ff_mm::`` in ``_base_`` of a config: its list of packages is fixed,
it wants a folder in the name, and builds what it finds in the scope of that package.

MMEngine logs names of classes, files and weights as they are, be they commands to a
terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import LogRecord
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.dataset import BaseDataset
from mmengine.logging.logger import MMFormatter

from ff_mm.config_files import SCOPE, find_config
from ff_mm.errors import FFMMError
from ff_mm.one_line import one_line

_copy = BaseDataset._copy_without_annotation


def copy_without_annotation(
    self: BaseDataset, memo: dict[int, Any] | None = None
) -> BaseDataset:
    """Copies all but the annotations, as MMEngine does, with a memo of its own."""
    return _copy(self, {} if memo is None else memo)


BaseDataset._copy_without_annotation = copy_without_annotation


_get_cfg_path = Config._get_cfg_path
MODULE2PACKAGE.setdefault('ff_mm', 'ff_mm')  # for mmengine.hub


def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """Finds a base as MMEngine does, and those that come with ff_mm."""
    if cfg_path.startswith(SCOPE):
        return str(find_config(cfg_path)), None
    path, scope = _get_cfg_path(cfg_path, filename)
    return path, scope


Config._get_cfg_path = staticmethod(get_cfg_path)


_format = MMFormatter.formatMessage


def format_message(self: MMFormatter, record: LogRecord) -> str:
    """Formats as MMEngine does, with each line of the message escaped."""
    record.message = '\n'.join(map(one_line, record.message.split('\n')))
    return _format(self, record)


MMFormatter.formatMessage = format_message


@contextmanager
def without_worker_traceback() -> Iterator[None]:
    """Takes the traceback out of the message of a worker's :class:`FFMMError`.

    torch raises what a data worker raised with the worker's traceback as its message,
    of which the last line is what the user can mend.

    Raises:
        FFMMError: With that line alone.
    """
    try:
        yield
    except FFMMError as error:
        kind = type(error)
        before, found, reason = str(error.args[0]).rpartition(
            f'\n{kind.__module__}.{kind.__qualname__}: '
        )
        if not (found and 'Original Traceback' in before):
            raise
        raise FFMMError(*reason.strip().splitlines()) from error
