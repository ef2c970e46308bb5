"""One set of cases, and passes of models over it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from ff_mm.errors import ConfigError
from ff_mm.evaluation.device_reads import Reading, as_dicts
from ff_mm.evaluation.early_exit import CannotWin, EarlyExit, Selection
from ff_mm.evaluation.kept_images import (
    FEW,
    Batch,
    Cases,
    KeptCases,
    StreamedCases,
    count_cases,
    is_of_images,
    keep,
)
from ff_mm.evaluation.kept_results import counting, pack, require_one_a_case
from ff_mm.evaluation.metrics.attainable import AttainableScore
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.merging import NoBetterThan
from ff_mm.parallel.termination import raise_if_requested

_CPU = torch.device('cpu')


@dataclass
class Count:
    """What passes have cost: how many, how many of them cut short, and images seen."""

    passes: int = 0
    stopped: int = 0
    images: int = 0


@dataclass(frozen=True)
class SetPace:
    """How long passes over a set take.

    Attributes:
        loading: Seconds in which an image is read and decoded.
        showing: Seconds in which the network and the metrics look at one.
        seen: How many images were looked at to find that out.
        images: How many there are.
    """

    loading: float
    showing: float
    seen: int
    images: int

    def __str__(self) -> str:
        """In words."""
        return f'{self.seen:,} of {self.images:,} images measured'


class EvaluationSet:
    """A data set with its metrics; models pass over it.

    A set over which more than one model passes is decoded once and kept, as far as
    memory and disk allow (see :func:`ff_mm.evaluation.kept_images.keep`).

    Args:
        name: ``'val'``, ``'test'`` or ``'ood/<name>'``.
        loader: Its data loader.
        evaluator: Its metrics.
        options: How passes are made.
        folder: Where images may be kept that do not fit into memory.
        notify: Takes lines for the user.
        device: Where the models are.

    Attributes:
        cases: What passes go through.
        count: What they have cost.
    """

    def __init__(
        self,
        name: str,
        loader: DataLoader,
        evaluator: Evaluator,
        options: EvaluationOptions,
        folder: Path,
        notify: Callable[[str], None],
        device: torch.device = _CPU,
    ) -> None:
        self.name = name
        self.dataset: Any = loader.dataset
        self.evaluator = evaluator
        self.evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
        self.count = Count()
        self._loader = loader
        self._options = options
        self._folder = folder
        self._notify = notify
        self._device = device
        self._ahead = 0 if device.type == 'cpu' else 1
        self.cases: Cases = StreamedCases(loader, bool(options.channels_last), device)
        self._tried_to_keep = False
        self._early: dict[tuple[str, str], EarlyExit | None] = {}

    @overload
    def evaluate(self, model: Any) -> dict[str, Any]: ...

    @overload
    def evaluate(
        self, model: Any, selection: Selection
    ) -> dict[str, Any] | NoBetterThan: ...

    def evaluate(
        self, model: Any, selection: Selection | None = None
    ) -> dict[str, Any] | NoBetterThan:
        """Makes one pass.

        Args:
            model: The network, with its weights.
            selection: What the pass is made for; it may then end early.

        Returns:
            The metrics of all cases; or, of a pass that was cut short, the score that
            the candidate could have reached at best.
        """
        raise_if_requested()  # a library may have swallowed the exception
        if self.count.passes:
            self.keep()
        self.count.passes += 1
        early = self._early_exit(selection)
        cannot_win = selection.cannot_win if selection else None
        model.eval()
        with torch.inference_mode(), self.precision(model):
            bound = self._pass(model, early, cannot_win)
        if bound is None:
            return dict(self.evaluator.evaluate(len(self.dataset)))
        self.count.stopped += 1
        for metric in self.evaluator.metrics:
            metric.results.clear()
        return NoBetterThan(bound)

    def predict(self, model: Any) -> list[dict[str, Any]]:
        """Makes one pass, and returns what the network says of each case.

        Args:
            model: The network, with its weights.

        Returns:
            The data samples as dicts, in the order of the data set: ``pred_score`` and
            ``gt_label`` or ``gt_score``, among others.

        Raises:
            ConfigError: The data loader shuffles.
        """
        self._require_order()
        if self.count.passes:
            self.keep()
        self.count.passes += 1
        samples: list[dict[str, Any]] = []
        model.eval()
        with torch.inference_mode(), self.precision(model):
            for _, outputs in self._said(model):
                samples += outputs
        return self._of_all_ranks(samples)

    def results(self, model: Any, batches: int | None = None) -> dict[str, np.ndarray]:
        """Makes one pass, and returns what the metrics keep of each case.

        Args:
            model: The network, with its weights.
            batches: Of so many batches only, to see what it is; None: of all.

        Returns:
            As :attr:`ff_mm.evaluation.predictions.Predictions.kept` has it, in the
            order of the data set.

        Raises:
            ConfigError: The data loader shuffles.
            FFMMError: A metric that does not keep one thing of each case, numbers or
                arrays of one shape.
        """
        self._require_order()
        if batches is None:
            if self.count.passes:
                self.keep()
            self.count.passes += 1
        seen = 0
        model.eval()
        with torch.inference_mode(), self.precision(model):
            for batch, outputs in islice(self._said(model), batches):
                self.evaluator.process(data_samples=outputs, data_batch=batch)
                seen += count_cases(batch)
        kept: dict[str, np.ndarray] = {}
        for number, metric in enumerate(counting(self.evaluator.metrics)):
            results = list(metric.results)
            metric.results.clear()
            require_one_a_case(metric, len(results), seen)
            if batches is None:
                results = self._of_all_ranks(results)
            kept.update(pack(metric, number, results))
        return kept

    def pace(self, model: Any, seconds: float) -> SetPace:
        """Finds out how long passes take, by some batches that are thrown away.

        Args:
            model: The network, with its weights.
            seconds: After so many no further batch is begun.
        """
        loading = showing = 0.0
        seen = 0
        model.eval()
        with torch.inference_mode(), self.precision(model):
            began = before = time.perf_counter()
            for batch in self.cases.batches(self._options.batch_size):
                loading += time.perf_counter() - before
                if not seen:  # the first is slow: kernels are chosen
                    self._show(model, batch)
                before = time.perf_counter()
                self._show(model, batch)
                after = time.perf_counter()
                showing += after - before
                seen += count_cases(batch)
                if after - began > seconds:
                    break
                before = after
        for metric in self.evaluator.metrics:
            metric.results.clear()
        return SetPace(loading / seen, showing / seen, seen, len(self.dataset))

    def _show(self, model: Any, batch: Batch) -> None:
        outputs = Reading(model.val_step(batch), self._device).result()
        self.evaluator.process(data_samples=outputs, data_batch=batch)

    def _require_order(self) -> None:
        if getattr(self._loader.sampler, 'shuffle', False):
            raise ConfigError(
                f'{self.name}: its sampler has shuffle=True, so nobody can tell which '
                'case is which; set shuffle=False'
            )

    def _of_all_ranks(self, samples: list[Any]) -> list[Any]:
        """What all ranks have, in the order in which MMEngine's sampler gave it out."""
        if get_world_size() == 1:
            return samples
        rows = zip(*all_gather_object(samples), strict=True)
        # The sampler repeats cases until all ranks have as many.
        return [sample for row in rows for sample in row][: len(self.dataset)]

    def batches(self, model: Any) -> Iterator[tuple[Any, list[Any]]]:
        """Makes one pass, of which the caller takes what it wants.

        Args:
            model: The network, which prepares the images.

        Yields:
            Images as the network takes them, and their data samples.

        Raises:
            ConfigError: The data loader shuffles.
        """
        raise_if_requested()
        self._require_order()
        self.keep()
        self.count.passes += 1
        # Few by default: with gradients a batch takes many times the memory.
        for batch in self.cases.batches(self._options.batch_size or FEW):
            prepared = model.data_preprocessor(batch, False)
            self.count.images += len(prepared['data_samples'])
            yield prepared['inputs'], prepared['data_samples']

    @property
    def has_images(self) -> bool:
        """Whether batches are images with data samples, as MMEngine's libraries do."""
        return is_of_images(self._loader.collate_fn([self.dataset[0]]))

    def first_output(self, model: Any) -> Any:
        """Returns a network's output for the first image, in the dtype of its weights.

        Args:
            model: The network as it is, or a copy of it elsewhere.
        """
        batch = self._loader.collate_fn([self.dataset[0]])
        inputs = model.data_preprocessor(batch, False)['inputs']
        return model(inputs.to(next(model.parameters()).dtype))

    def _pass(
        self,
        model: Any,
        early: EarlyExit | None,
        cannot_win: CannotWin | None,
    ) -> float | None:
        """Lets the metrics see all cases; returns a bound if it stopped before."""
        watch = early.watch(cannot_win) if early and cannot_win else None
        order = watch.order if watch else None
        done, bound = 0, None
        for batch, outputs in self._said(model, order):
            self.evaluator.process(data_samples=outputs, data_batch=batch)
            done += len(outputs)
            bound = watch.lost(done) if watch else None
            if bound is not None:
                break
        if early:
            early.learn(np.arange(done) if order is None else order[:done])
        if order is not None and bound is None:
            self._restore_order(order)
        return bound

    def _said(
        self, model: Any, order: np.ndarray | None = None
    ) -> Iterator[tuple[Batch, list[Any]]]:
        """Yields batches, and what the network says of them as dicts in main memory.

        A GPU works on the next batch while what it has said of one is looked at.
        """
        ahead: deque[tuple[Batch, Reading]] = deque()
        for batch in self.cases.batches(self._options.batch_size, order):
            ahead.append((batch, Reading(model.val_step(batch), self._device)))
            self.count.images += count_cases(batch)
            if len(ahead) > self._ahead:
                begun, reading = ahead.popleft()
                yield begun, reading.result()
        for begun, reading in ahead:
            yield begun, reading.result()

    def _restore_order(self, order: np.ndarray) -> None:
        """Puts what metrics keep as a plain pass has it: sums round by their order."""
        by_case = np.argsort(order)
        for metric in self.evaluator.metrics:
            if len(metric.results) == len(order):
                metric.results[:] = [metric.results[case] for case in by_case]

    def precision(self, model: Any) -> AbstractContextManager:
        """Returns the context in which a network is called."""
        return self._options.precision(next(model.parameters()).device)

    def keep(self) -> None:
        """Decodes all images now, for more than one pass; if there is room for them."""
        if self._tried_to_keep:
            return
        self._tried_to_keep = True
        start = time.perf_counter()
        options = self._options
        kept = keep(
            self._loader,
            bool(options.channels_last),
            options.cache_memory,
            self._folder,
            self._device,
        )
        if kept is None:
            self._notify(
                f'{self.name}: {len(self.dataset)} cases are loaded in every pass: '
                'they are no images of one size, or there is no room to keep them'
            )
            return
        self.cases = kept
        self._notify(
            f'{self.name}: {len(kept)} images decoded once and kept in {kept.where}, '
            f'{kept.nbytes / 1e6:.0f} MB, {time.perf_counter() - start:.1f} s'
        )

    def _early_exit(self, selection: Selection | None) -> EarlyExit | None:
        """What may end a pass for this selection; None where nothing may."""
        if selection is None or not self._options.early_exit:
            return None
        # The ranks would each have to know what the others have seen.
        if not isinstance(self.cases, KeptCases) or get_world_size() > 1:
            return None
        key = selection.metric, selection.rule
        if key not in self._early:
            # Passes have left their labels on the device.
            samples = as_dicts(self.cases.samples, self._device)
            attainable = AttainableScore.find(self.evaluator.metrics, *key, samples)
            self._early[key] = (
                None if attainable is None else EarlyExit(attainable, len(samples))
            )
        return self._early[key]
