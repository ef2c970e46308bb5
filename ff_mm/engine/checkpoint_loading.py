"""MMEngine's checkpoint loaders, made unable to run code.

MMEngine 0.10 calls :func:`torch.load` without ``weights_only`` (its maintained fork
passes False), and downloads through :func:`torch.hub.load_state_dict_from_url`, whose
default is False: a malicious file given to ``load_from``, ``--resume`` or
``init_cfg=dict(type='Pretrained')`` would run. MMEngine lets a scheme's loader be
replaced, so both are.
"""

from __future__ import annotations

import os.path as osp
import pickle
from typing import Any

import torch
from mmengine.dist import get_dist_info
from mmengine.runner import CheckpointLoader
from torch.hub import load_state_dict_from_url

from ff_mm.merging.state_dict import CheckpointError


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Loads a local checkpoint with ``weights_only=True``.

    Args:
        filename: The file; ``~`` is expanded.
        map_location: As in :func:`torch.load`.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, or holds more than plain data.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} can not be found.')
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path}: holds more than tensors and plain values, and ff_mm runs no code '
            f'from checkpoints; publish it first (mmpretrain tools/model_converters/'
            f'publish_model.py) ({_first_line(error)})'
        ) from error
    except (RuntimeError, EOFError) as error:
        raise CheckpointError(
            f'{path}: not a complete checkpoint, fetch or write it again '
            f'({_first_line(error)})'
        ) from error


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


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
