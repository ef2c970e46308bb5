"""A model as it was made: the network with its weights, and how images reach it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.models import MultiLabelClsHead
from mmpretrain.registry import MODELS

from ff_mm.config import load_config, resolve, without_pretrained
from ff_mm.errors import ConfigError
from ff_mm.evaluation.fingerprint import classes_of
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.fusion.ensemble_file import config_of_file
from ff_mm.fusion.ensemble_runner import ENSEMBLE_FILE
from ff_mm.fusion.soup_file import DEPLOY_FILE, FUSED_FILE, SOUP_FILE
from ff_mm.inference.loading import with_loading
from ff_mm.merging import CheckpointError, check_same_architecture
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.finite import wrong_values
from ff_mm.merging.state_dict import StateDict, check_whole, copy_weights
from ff_mm.tasks import scope_of, task_of

#: What an export calls the weights.
WEIGHTS_FILE = 'model.safetensors'
_FILES = (SOUP_FILE, FUSED_FILE, ENSEMBLE_FILE, WEIGHTS_FILE)
_WEIGHTS = ('.pth', '.pt', '.safetensors')
# How deep images were, which soups of before 0.2 say for people alone.
_DEPTH = re.compile(r'^#.* takes (\d+) bits for ', re.MULTILINE)
HOW = 'give the folder of a soup or of fuse, or a config and a checkpoint'


class ModelFolderError(ConfigError):
    """What was given as a model and is none."""


@dataclass(frozen=True)
class ModelFiles:
    """Where a model is.

    Attributes:
        config: ``deploy.py``, or any config with a model.
        weights: The checkpoint.
        is_folder: Whether it was given as a folder, so that the config is
            ``deploy.py``.
    """

    config: Path
    weights: Path
    is_folder: bool

    @property
    def folder(self) -> Path:
        """Where the weights lie."""
        return self.weights.parent


def find_model(paths: Sequence[str]) -> tuple[ModelFiles, list[str]]:
    """Finds the model at the beginning of a command line.

    Args:
        paths: A folder of ``tools/soup.py``, ``tools/fuse.py`` or an export, or the
            weights in one; or a config and a checkpoint. Whatever follows.

    Returns:
        The model, and what follows.

    Raises:
        ModelFolderError: There is none.
    """
    first = Path(paths[0])
    if first.suffix == '.py':
        if len(paths) < 2 or not paths[1].endswith(_WEIGHTS):
            raise ModelFolderError(
                f'{first}: this config needs its checkpoint (.pth or .safetensors) '
                'after it'
            )
        return ModelFiles(first, Path(paths[1]), False), list(paths[2:])
    weights = first if first.suffix in _WEIGHTS else _weights_in(first)
    config = weights.parent / DEPLOY_FILE
    if not config.is_file():
        raise ModelFolderError(f'{weights}: there is no {DEPLOY_FILE} beside it; {HOW}')
    return ModelFiles(config, weights, True), list(paths[1:])


def _weights_in(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelFolderError(f'{folder}: there is no such folder; {HOW}')
    found = [folder / name for name in _FILES if (folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = ' and '.join(file.name for file in found)
        raise ModelFolderError(f'{folder}: has {names}; give the file that is meant')
    below = sorted(str(path.parent) for path in folder.glob(f'*/{DEPLOY_FILE}'))
    hint = f'; did you mean {below[0]}?' if below else f'; {HOW}'
    raise ModelFolderError(f'{folder}: has none of {", ".join(_FILES)}{hint}')


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, and all that is needed to use it.

    Attributes:
        network: The classifier, in evaluation mode, on the device.
        cfg: ``model``, ``data_preprocessor``, and ``pipeline``, which begins with
            loading an image, be it DICOM, as in training.
        source: The config as it was read, resolved.
        classes: Names of the classes or labels; their numbers where none are known.
        meta: What the checkpoint says of itself.
        files: Where it came from.
        options: How passes are made.
        notes: What a user should know of how it was read.
    """

    network: Any
    cfg: Config
    source: Config
    classes: tuple[str, ...]
    meta: Mapping[str, Any]
    files: ModelFiles
    options: EvaluationOptions
    notes: tuple[str, ...] = ()

    @property
    def is_multilabel(self) -> bool:
        """Whether an image can have several labels."""
        return isinstance(self.network.head, MultiLabelClsHead)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def soup(self) -> Mapping[str, Any]:
        """What the model is made of; empty of one that is no soup."""
        soup = self.meta.get('soup')
        return soup if isinstance(soup, Mapping) else {}

    def weights(self) -> StateDict:
        """Returns the network's weights, on the CPU."""
        state = self.network.state_dict()
        return {key: value.detach().cpu() for key, value in state.items()}


def load_model(
    files: ModelFiles,
    options: Mapping[str, Any] | None = None,
    entry: str | None = None,
) -> TrainedModel:
    """Builds a network and gives it its weights.

    Args:
        files: Where they are, see :func:`find_model`.
        options: ``--cfg-options``, for a config with its checkpoint.
        entry: Which weights of the checkpoint, such as ``'state_dict_ema'``.

    Raises:
        FFMMError: Config and checkpoint do not fit, or cannot be read.
    """
    checkpoint = CheckpointFile(files.weights, entry, full=True)
    check_whole(files.weights)
    state_dict = checkpoint.weights()
    source = resolve(load_config(files.config, options))
    if 'model' not in source:
        raise ConfigError(f'{files.config}: says no model')
    task_of(source).require_scores(str(files.config))
    init_default_scope(scope_of(source))
    source = config_of_file(source, checkpoint.meta)
    _check_depth(files, checkpoint.meta)
    cfg = _usable(source, checkpoint.meta, files)
    network = _build(cfg, state_dict, files)
    return TrainedModel(
        network=network,
        cfg=cfg,
        source=source,
        classes=_classes(checkpoint.meta, source, network),
        meta=checkpoint.meta,
        files=files,
        options=EvaluationOptions.from_config(source.get('evaluation')),
        notes=checkpoint.notes,
    )


def _check_depth(files: ModelFiles, meta: Mapping[str, Any]) -> None:
    """Refuses to show deep images in another way than the model has seen them."""
    if not files.is_folder or 'loading' in meta:
        return
    if found := _DEPTH.search(files.config.read_text(encoding='utf-8')):
        raise ModelFolderError(
            f'{files.weights}: has seen images of {found[1]} bits, which soups of '
            'before 0.2 do not record: make it anew (the command that made it trains '
            'nothing), or give its config and this file'
        )


def _usable(source: Config, meta: Mapping[str, Any], files: ModelFiles) -> Config:
    loader = source.get('test_dataloader') or source.get('val_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline')
    if not pipeline:
        raise ConfigError(
            f'{files.config}: says no test_dataloader.dataset.pipeline, by which '
            'images are shown to the model'
        )
    return Config(
        dict(
            model=without_pretrained(source.model.to_dict()),
            data_preprocessor=dict(source.get('data_preprocessor') or {}),
            pipeline=with_loading(pipeline, meta.get('loading')),
        )
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps back the lines by which backbones describe themselves."""
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _build(cfg: Config, state_dict: StateDict, files: ModelFiles) -> Any:
    described = cfg.model.to_dict()
    described.setdefault('data_preprocessor', cfg.data_preprocessor.to_dict())
    with _quietly():
        network = MODELS.build(described)
    if getattr(network, 'head', None) is None:
        raise ConfigError(f'{files.config}: model has no head, so it predicts nothing')
    own = network.state_dict()
    problems = check_same_architecture(
        state_dict, own, str(files.weights), f'the model of {files.config}'
    )
    if problems:
        raise CheckpointError('; '.join(problems))
    if wrong := wrong_values(state_dict):
        raise CheckpointError(
            f'{files.weights}: {wrong}: this model has diverged, or the file is damaged'
        )
    copy_weights(state_dict, own, str(files.weights))
    return network.to(get_device()).eval()


def _classes(meta: Mapping[str, Any], source: Config, network: Any) -> tuple[str, ...]:
    number = getattr(network.head, 'num_classes', None)
    names = [str(name) for name in classes_of(meta)]
    if not names:
        loader = source.get('test_dataloader') or source.get('val_dataloader')
        names = [str(name) for name in loader['dataset'].get('classes') or ()]
    if number is None or len(names) == number:
        return tuple(names)
    if names:
        raise ConfigError(
            f'{os.fspath(source.filename or "")}: {len(names)} names of classes, and '
            f'the head gives {number}'
        )
    return tuple(map(str, range(number)))
