"""Whether two metrics were taken in the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ff_mm.datasets.checks.check import fingerprint
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.state_dict import CheckpointError


def validation_fingerprint(cfg: Config, dataset: Any) -> str:
    """Identifies the validation of a config, see :func:`evaluation_fingerprint`.

    Args:
        cfg: A resolved config.
        dataset: Its validation set.
    """
    return evaluation_fingerprint(cfg, cfg.val_dataloader, dataset)


def evaluation_fingerprint(cfg: Config, loader: Mapping[str, Any], dataset: Any) -> str:
    """Identifies what a model is shown: images, labels, and how they are shown.

    Args:
        cfg: A resolved config.
        loader: A data loader of it.
        dataset: That loader's data set.

    Returns:
        A SHA-256 over the cases (see
        :func:`ff_mm.datasets.checks.check.fingerprint`), the pipeline and the
        preprocessing: the same images at another size give other metrics.
    """
    shown = dict(cases=fingerprint(dataset), **_view(cfg, loader))
    text = json.dumps(shown, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def validation_view(cfg: Config) -> dict[str, Any]:
    """How the validation images of a config are shown to a model.

    Args:
        cfg: A resolved config.

    Returns:
        Each value of the pipeline and the preprocessing by its place, such as
        ``{'pipeline.1.scale': 64}``; plain values, as JSON has them.
    """
    view = _view(cfg, cfg.val_dataloader)
    view['pipeline'] = next(_pipelines(cfg.val_dataloader['dataset']), None)
    return dict(_by_place(json.loads(json.dumps(view, default=str))))


def _view(cfg: Config, loader: Mapping[str, Any]) -> dict[str, Any]:
    return dict(
        pipeline=loader['dataset'].get('pipeline'),
        preprocessing=_preprocessor(cfg),
    )


def _preprocessor(cfg: Config) -> Any:
    """That of the model, which comes first in MMEngine, or that of the config."""
    return cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')


def _pipelines(dataset: Mapping[str, Any]) -> Iterator[Any]:
    """The pipelines of a data set, or of those within one."""
    if dataset.get('pipeline'):
        yield dataset['pipeline']
    inner = [dataset.get('dataset'), *(dataset.get('datasets') or ())]
    for each in inner:
        if isinstance(each, Mapping):
            yield from _pipelines(each)


def _by_place(value: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from _by_place(value[key], f'{place}.{key}' if place else str(key))
    else:
        yield place, value


def check_class_numbering(
    checkpoint: CheckpointFile, classes: Sequence[Any] | None
) -> bool:
    """Compares the classes that a checkpoint was trained on with those of a data set.

    The same classes in another order give a model of the same shape, whose output 0 is
    then taken for another class.

    Args:
        checkpoint: One of MMEngine's, MMClassification's or ff_mm's, which names the
            classes in its meta; of any other nothing is known.
        classes: Of the data set, in the order of their numbers; None: not known.

    Returns:
        Whether both name the same classes, or one of them none; False: other names,
        which may still mean the same.

    Raises:
        CheckpointError: A class that both name has two numbers.
    """
    trained = [str(name) for name in _classes_of(checkpoint.meta)]
    asked = [str(name) for name in classes or ()]
    if not trained or not asked or trained == asked:
        return True
    both = [name for name in trained if name in asked]
    moved = [name for name in both if trained.index(name) != asked.index(name)]
    if moved:
        raise CheckpointError(
            f'{checkpoint.path}: was trained with the classes {trained}, the data set '
            f'has them as {asked}: {moved[0]!r} is number {trained.index(moved[0])} '
            f'there and {asked.index(moved[0])} here; give classes={trained}'
        )
    return False


def _classes_of(meta: Mapping[str, Any]) -> Sequence[Any]:
    """The classes where MMPretrain looks for them, and where its forerunners put them.

    ``dataset_meta`` is that of MMPretrain 1.x, whose release candidates wrote its keys
    in capitals; MMClassification 0.x has ``CLASSES`` in the meta itself.
    """
    for place in (meta.get('dataset_meta'), meta):
        if isinstance(place, Mapping):
            for key in ('classes', 'CLASSES'):
                classes = place.get(key)
                if isinstance(classes, (list, tuple)) and classes:
                    return classes
    return ()
