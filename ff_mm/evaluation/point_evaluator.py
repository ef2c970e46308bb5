"""Evaluates points of weight space, each once, and remembers what came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import get_world_size
from rich.console import Console

from ff_mm.display.progress import CountProgress
from ff_mm.errors import ConfigError
from ff_mm.evaluation.memo import EvaluationMemo, by_content, evaluation_key
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.merging import Candidate
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import in_turn
from ff_mm.plain import plain_metrics


class PointEvaluator:
    """Makes the passes that paths and surfaces need.

    What has been evaluated stands in a memo, that of soups of the same pool included,
    so that the same command goes on where it was interrupted. With a team every process
    goes through the same calls, and whoever is free takes the next point.

    Args:
        evaluator: The network and the sets.
        memo: What is known already, the same in all processes.
        digests: What identifies the parts of a recipe: the SHA-256 of an ingredient's
            file, or a name by which a random direction can be made again.
        team: Processes of which each has all cases; None: there are no others, or the
            passes themselves are split over them.
        bn_samples: Training images on which batch-norm statistics are re-estimated at
            each point; None: they are those of the point, such as a mean of two.
        console: Where progress is shown.
    """

    def __init__(
        self,
        evaluator: ModelEvaluator,
        memo: EvaluationMemo,
        digests: Mapping[str, str],
        team: Team | None = None,
        bn_samples: int | None = None,
        console: Console | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.digests = dict(digests)
        self._memo = memo
        self._team = team or Team.alone()
        self._bn_samples = bn_samples
        self._console = console or Console(quiet=True)

    def recall(self, name: str, metrics: Mapping[str, Any]) -> None:
        """Takes over an ingredient's validation metrics recorded at training."""
        if not self._bn_samples:
            self._memo.share(self._key('val', {name: 1.0}), metrics)

    def evaluate(
        self,
        points: Sequence[Candidate],
        split: str = 'val',
        title: str = 'points',
        needed: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Evaluates points.

        Args:
            points: With recipes of parts that have digests.
            split: ``'val'``, ``'test'`` or ``'ood/<name>'``.
            title: What they are, for the progress display.
            needed: Metrics that are going to be looked at.

        Returns:
            The metrics of each point on all cases.

        Raises:
            ConfigError: A metric that is needed is not among them; said after the
                first point.
            AnotherFailed: Another process has.
        """
        keys = [self._key(split, point.recipe) for point in points]
        unknown = {
            key: point
            for key, point in zip(keys, points, strict=True)
            if self._memo.metrics(key) is None
        }
        with CountProgress(title, len(unknown), self._console, 'points') as progress:

            def note(key: str, metrics: dict[str, Any]) -> None:
                self._memo.add_metrics(key, metrics)
                _require(needed, metrics, split)
                progress.advance()

            in_turn(
                self._team,
                'points',
                list(unknown),
                lambda key: self._pass(unknown[key], split),
                note,
            )
        found = [dict(self._memo.metrics(key)) for key in keys]
        for metrics in found:
            _require(needed, metrics, split)
        return found

    def _pass(self, point: Candidate, split: str) -> dict[str, Any]:
        self.evaluator.load_from(point.load)
        if self._bn_samples:
            self.evaluator.reestimate_batch_norm(self._bn_samples, keep=True)
        if self.evaluator.options.fold_batch_norm:
            self.evaluator.fold_batch_norm()
        return plain_metrics(self.evaluator.evaluate(split))

    def _key(self, split: str, recipe: Mapping[str, float]) -> str:
        parts = by_content(recipe, self.digests)
        if self._bn_samples:
            parts[f'batch norm of {self._training_data()}'] = float(self._bn_samples)
        return evaluation_key(self.evaluator.keys[split], parts)

    def _training_data(self) -> str:
        """What the images consist of on which batch norm is re-estimated."""
        cfg = self.evaluator.cfg
        # Ranks that split the data see other batches.
        parts = [
            cfg.train_dataloader,
            cfg.get('data_preprocessor'),
            get_world_size(),
        ]
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _require(needed: Sequence[str], metrics: Mapping[str, Any], split: str) -> None:
    for name in needed:
        if name not in metrics:
            where = 'val_evaluator' if split == 'val' else 'test_evaluator'
            raise ConfigError(
                f'{name!r} is not among the metrics of {split} {sorted(metrics)}: look '
                f'at another one, or add it to {where}'
            )
