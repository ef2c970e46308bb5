"""MMEngine's checkpoint loaders, made unable to run code.

MMEngine 0.10 calls :func:`torch.load` without ``weights_only`` (its maintained fork
passes False), and downloads through :func:`torch.hub.load_state_dict_from_url`, whose
default is False: a malicious file given to ``load_from``, ``--resume`` or
``init_cfg=dict(type='Pretrained')`` would run. MMEngine lets a scheme's loader be
replaced, so both are.
"""

from __future__ import annotations

import os.path as osp
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_dist_info
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import CheckpointLoader, Runner
from torch.hub import load_state_dict_from_url

from ff_mm.engine.background_writer import BackgroundWriter
from ff_mm.files import atomic_write
from ff_mm.merging.state_dict import read_checkpoint


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Loads a local checkpoint as :func:`ff_mm.merging.read_checkpoint` does.

    Args:
        filename: The file; ``~`` is expanded.
        map_location: Not used: tensors come to the CPU, from where MMEngine copies
            them to the model and the optimizer.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, or holds more than plain data.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} can not be found.')
    # Not mapped: the run may remove the file while it uses the tensors.
    return read_checkpoint(path, mmap=False, whole=True)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(
    filename: str,
    map_location: Any = None,
    model_dir: str | None = None,
    progress: bool = True,
) -> dict:
    """Downloads a checkpoint once a machine and loads it with ``weights_only=True``.

    Args:
        filename: The address.
        map_location: As in :func:`torch.load`.
        model_dir: Where downloads are kept; torch's hub folder by default.
        progress: Whether to show the progress of the download.

    Returns:
        The checkpoint.
    """

    def load() -> dict:
        return load_state_dict_from_url(
            filename,
            model_dir=model_dir,
            map_location=map_location,
            progress=progress,
            weights_only=True,
        )

    rank, world_size = get_dist_info()
    checkpoint = load() if rank == 0 else None
    if world_size > 1:
        torch.distributed.barrier()
    return load() if checkpoint is None else checkpoint


def where_to_write(runner: Runner) -> dict[str, Any]:
    """Returns the ``backend_args`` with which a run writes what it needs later.

    Args:
        runner: If it is a :class:`ff_mm.engine.QuietRunner`, files are written while
            training goes on; this waits until there is memory for one more.
    """
    writer = writer_of(runner)
    if writer is None:
        return dict(backend='atomic')
    writer.make_room()
    return writer.backend_args


def writer_of(runner: Runner) -> BackgroundWriter | None:
    """Returns what writes a run's files while training goes on; None: nothing does."""
    writer = getattr(runner, 'writer', None)
    return writer if isinstance(writer, BackgroundWriter) else None


@register_backend('atomic', force=True)
class AtomicBackend(LocalBackend):
    """:class:`LocalBackend` that writes beside the target, syncs, and renames.

    A process killed, or a machine switched off, in the middle of a write leaves the
    old file or the new one, never half of it. Any MMEngine component that takes
    ``backend_args`` can use it: ``checkpoint=dict(type='CheckpointHook',
    backend_args=dict(backend='atomic'))``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes.

        Args:
            obj: The content; a ``memoryview`` will do as well.
            filepath: The target; missing folders are made.
        """
        with atomic_write(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Writes text, see :meth:`put`."""
        self.put(obj.encode(encoding), filepath)
