"""A model on the sets of a config with data: predictions, and whether the two fit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config

from ff_mm.config import load_config, resolve
from ff_mm.errors import ConfigError
from ff_mm.evaluation.cases import cases_of
from ff_mm.evaluation.fingerprint import check_class_numbering
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.predictions import Predictions
from ff_mm.fusion.deployment import deployment_config
from ff_mm.fusion.ensemble_file import config_of_file
from ff_mm.inference.predictor import Predictor
from ff_mm.inference.trained_model import TrainedModel
from ff_mm.merging.checkpoint_file import CheckpointFile


def data_config(
    model: TrainedModel,
    path: str | None,
    options: Mapping[str, Any] | None,
) -> Config | None:
    """Returns the config with the data on which a model is measured.

    Args:
        model: The model.
        path: A config with data sets, such as the fusion's; None: the model's own, if
            it has any.
        options: Its ``--cfg-options``.

    Returns:
        The config, resolved; None: there is none.

    Raises:
        ConfigError: It shows images in another way than the model has seen them.
    """
    if path is None:
        loader = model.source.get('val_dataloader') or {}
        has_data = 'type' in (loader.get('dataset') or {})
        return model.source if has_data and not model.files.is_folder else None
    cfg = config_of_file(resolve(load_config(path, options)), model.meta)
    if not model.files.is_folder:
        return cfg
    asked, own = deployment_config(cfg), model.source
    for key, value in _shown(asked).items():
        if value != _shown(own)[key]:
            raise ConfigError(
                f'{path}: {key} is {value}, and {model.files.config} has '
                f'{_shown(own)[key]}: give the same --cfg-options as to tools/soup.py'
            )
    return cfg


def _shown(cfg: Config) -> dict[str, Any]:
    pipeline = cfg.test_dataloader['dataset'].get('pipeline', [])
    found: dict[str, Any] = {
        'data_preprocessor': dict(cfg.get('data_preprocessor') or {})
    }
    found['pipeline'] = [dict(step) for step in pipeline]
    return found


class MeasuredModel:
    """A model beside the sets of a config.

    Args:
        model: The model.
        evaluator: The sets, and a network with the same weights.
    """

    def __init__(self, model: TrainedModel, evaluator: ModelEvaluator) -> None:
        self.model, self.evaluator = model, evaluator

    @property
    def names(self) -> list[str]:
        """Names of the sets."""
        return self.evaluator.set_names

    def images(self, split: str) -> Iterator[torch.Tensor]:
        """Yields all images of a set in batches, as the pipeline gives them."""
        cases = self.evaluator.sets[split].cases
        for batch in cases.batches(self.evaluator.options.batch_size):
            yield batch['inputs']

    def predictions(
        self, split: str, predictor: Predictor | None = None
    ) -> Predictions:
        """Returns what the model says of a set.

        Args:
            split: ``'val'``, ``'test'`` or ``'ood/<name>'``.
            predictor: Says it; None: the evaluator, as ``tools/test.py``.
        """
        cases, groups = cases_of(self.evaluator.sets[split].dataset)
        if predictor is None:
            samples = self.evaluator.predict(split)
        else:
            samples = list(self._by(predictor, split))
        return Predictions.from_samples(samples, cases, groups)

    def _by(self, predictor: Predictor, split: str) -> Iterator[dict[str, Any]]:
        cases = self.evaluator.sets[split].cases
        for batch in cases.batches(self.evaluator.options.batch_size):
            scores = torch.from_numpy(predictor.scores(batch['inputs']))
            for sample, score in zip(batch['data_samples'], scores, strict=True):
                yield dict(sample.to_dict(), pred_score=score)

    def metrics(self, split: str) -> PredictionMetrics:
        """Returns the metrics of a set."""
        config = self.evaluator.metrics(split)
        return PredictionMetrics(config, self.evaluator.dataset_meta)


@contextmanager
def measured(
    model: TrainedModel, cfg: Config, notify: Callable[[str], None]
) -> Iterator[MeasuredModel]:
    """Builds the sets of a config, and checks that the model is of them.

    Args:
        model: The model.
        cfg: The config, see :func:`data_config`.
        notify: Takes lines for the user.

    Raises:
        FFMMError: The data are not there, or the model is of others.
    """
    with tempfile.TemporaryDirectory(prefix='ff_mm_') as folder:
        cfg = Config(dict(cfg.to_dict(), work_dir=folder), filename=cfg.filename)
        evaluator = ModelEvaluator(cfg, notify)
        try:
            weights = model.weights()
            evaluator.check(weights, str(model.files.weights))
            checkpoint = CheckpointFile(model.files.weights)
            check_class_numbering(checkpoint, evaluator.dataset_meta.get('classes'))
            evaluator.task.check(evaluator.cfg, dict(val=evaluator.val_dataset))
            evaluator.load(weights)
            yield MeasuredModel(model, evaluator)
        finally:
            evaluator.close()


def compare_tta(
    measured: MeasuredModel, tta: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measures test-time augmentation on validation.

    Args:
        measured: The model and the sets.
        tta: Names of ways to show an image.

    Returns:
        The metrics without it, and with it.
    """
    metrics = measured.metrics('val')
    return tuple(
        metrics.evaluate(measured.predictions('val', Predictor(measured.model, names)))
        for names in ((), tta)
    )  # type: ignore[return-value]
