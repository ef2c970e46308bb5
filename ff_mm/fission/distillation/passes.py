"""Forward passes of a teacher's members over all views that a student will be shown."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ff_mm.engine.distributed import unwrapped_model
from ff_mm.engine.hooks.view_seed_hook import CHECKSUM, INDEX, ViewLoading, views_of
from ff_mm.engine.precision import float32
from ff_mm.engine.worker_failures import loading_images
from ff_mm.evaluation.ensemble import logits, of_logits
from ff_mm.evaluation.predictions import Predictions
from ff_mm.fission.distillation.mixture import is_multilabel
from ff_mm.fission.distillation.targets import Targets, TargetsError
from ff_mm.fission.distillation.teacher import Teacher
from ff_mm.fission.run_weights import weights_of_run
from ff_mm.merging.state_dict import copy_weights
from ff_mm.parallel.termination import raise_if_requested

# Images that are held while one member after the other passes over them: no more than
# this many, and bytes; at least a batch.
_CHUNK, _CHUNK_BYTES = 2048, 1 << 28


class _Views(Dataset):
    """A data set of which all is loaded as a view."""

    def __init__(self, loading: ViewLoading) -> None:
        self.loading = loading

    def __len__(self) -> int:
        return len(self.loading.dataset)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return self.loading(indices)

    def __getitem__(self, index: int) -> Any:
        return self.loading([index])[0]


class TeacherPasses:
    """Computes targets, part by part, each kept on disk once it is computed.

    A part is some images of one view. They go through the pipeline once and are held
    while the members pass over them, one after the other, in the one network of the
    run: in evaluation mode, in float32. Ranks share the parts out.

    Args:
        runner: The run, whose network and training images are taken.
        teacher: Who teaches.
        temperature: By which each member's logits are divided.
        views: How many views there are.
        folder: Where parts lie.
        notify: Takes lines for the user.

    Attributes:
        seconds_before: How long earlier runs took for the parts that are taken up.
    """

    def __init__(
        self,
        runner: Runner,
        teacher: Teacher,
        temperature: float,
        views: int,
        folder: Path,
        notify: Callable[[str], None],
    ) -> None:
        self.runner = runner
        self.teacher = teacher
        self.temperature = temperature
        self.views = views
        self.folder = folder
        self.seconds_before = 0.0
        self._notify = notify
        self._source: Any = runner.train_dataloader
        self._loading = views_of(runner)
        self._size = len(self._source.dataset)
        self._parts = list(self._cut())
        self.key = _key(
            members=teacher.content(),
            temperature=temperature,
            seed=self._loading.seed,
            images=self._size,
        )

    @property
    def images(self) -> int:
        """How many images all members together have to see."""
        return self.views * self._size * len(self.teacher.members)

    def compute(self) -> Targets:
        """Returns the targets; what earlier runs have computed is taken up."""
        models = len(self.teacher.members)
        found = []
        for view in range(self.views):
            self._notify(
                f'teacher: view {view + 1} of {self.views}, {models} models on '
                f'{self._size} images'
            )
            parts = self._view(view)
            found.append(
                Targets(
                    np.concatenate([part.probabilities for part in parts], axis=1),
                    np.concatenate([part.checksums for part in parts], axis=1),
                    self.key,
                )
            )
        return Targets(
            np.concatenate([view.probabilities for view in found]),
            np.concatenate([view.checksums for view in found]),
            self.key,
        )

    def _view(self, view: int) -> list[Targets]:
        kept: list[Any] = [[self._find(view, part) for part in self._parts]]
        broadcast_object_list(kept)  # ranks may not see the same folder
        parts: dict[int, Targets] = {n: p for n, p in enumerate(kept[0]) if p}
        self.seconds_before += sum(part.seconds for part in parts.values())
        missing = [n for n in range(len(self._parts)) if n not in parts]
        mine = self._load(view, missing[get_rank() :: get_world_size()])
        for first in range(0, len(missing), get_world_size()):
            raise_if_requested()
            in_round = missing[first : first + get_world_size()]
            done = self._pass(next(mine)) if get_rank() < len(in_round) else None
            for number, part in zip(in_round, all_gather_object(done), strict=False):
                assert part is not None
                parts[number] = part
                if is_main_process():
                    part.write(self._file(view, self._parts[number]))
        return [parts[number] for number in range(len(self._parts))]

    def _cut(self) -> Iterator[range]:
        """Cuts the images into parts, of whole batches."""
        self._loading.announce(0)
        nbytes = max(self._loading([0])[0]['inputs'].nbytes, 1)
        batch = self._source.batch_size or 1
        images = min(_CHUNK, _CHUNK_BYTES // nbytes)
        step = max(images // batch, 1) * batch
        for first in range(0, self._size, step):
            yield range(first, min(first + step, self._size))

    def _load(self, view: int, numbers: Sequence[int]) -> Iterator[list[Any]]:
        """Loads the batches of parts, in this order."""
        size = self._source.batch_size or 1
        batches = [
            [list(part[i : i + size]) for i in range(0, len(part), size)]
            for part in (self._parts[number] for number in numbers)
        ]
        self._loading.announce(view)
        loader = DataLoader(
            _Views(self._loading),
            batch_sampler=[batch for part in batches for batch in part],
            num_workers=self._source.num_workers,
            collate_fn=self._source.collate_fn,
            generator=torch.Generator(),
        )
        with loading_images():
            loaded = iter(loader)
            for part in batches:
                yield [_own(next(loaded)) for _ in part]

    def _pass(self, batches: list[Any]) -> Targets:
        """Has all members see a part."""
        began = time.perf_counter()
        mean: Any = 0.0
        for entry, weight in self.teacher.members:
            weights = entry.checkpoint.in_passing()
            copy_weights(weights, weights_of_run(self.runner), entry.name)
            mean = mean + weight * self._predict(batches)
        samples = [s for batch in batches for s in batch['data_samples']]
        checksums = [sample.get(CHECKSUM) for sample in samples]
        if not np.isfinite(mean).all():
            bad = samples[int(np.argmin(np.isfinite(mean).all(axis=1)))].get(INDEX)
            raise TargetsError(f'teacher: no finite probabilities of image {bad}')
        return Targets(
            mean.astype(np.float32)[None],
            np.array(checksums, np.uint32)[None],
            self.key,
            time.perf_counter() - began,
        )

    def _predict(self, batches: list[Any]) -> np.ndarray:
        """Probabilities of the network with its weights as they are, in float64."""
        model = unwrapped_model(self.runner.model)
        model.eval()
        scores = []
        with torch.inference_mode(), float32():
            for batch in batches:
                raise_if_requested()
                outputs = model.val_step(dict(batch))
                scores.append(torch.stack([o.pred_score for o in outputs]).cpu())
        probabilities = torch.cat(scores).float().numpy()
        if self.temperature == 1:
            return probabilities.astype(np.float64)
        return _softened(probabilities, self.temperature, is_multilabel(model))

    def _find(self, view: int, part: range) -> Targets | None:
        try:
            found = Targets.read(self._file(view, part))
        except TargetsError:  # there is none, or half of one
            return None
        fits = found.key == self.key and found.checksums.shape == (1, len(part))
        return found if fits else None

    def _file(self, view: int, part: range) -> Path:
        return self.folder / f'view{view}_{part.start}_{part.stop}.npz'


def _softened(scores: np.ndarray, temperature: float, several: bool) -> np.ndarray:
    """Probabilities of logits divided by a temperature."""
    truth = np.zeros(scores.shape if several else len(scores), np.int64)
    of_model = Predictions(scores, truth, tuple(map(str, range(len(scores)))))
    softened = of_logits(logits(of_model) / temperature, of_model)
    return softened.scores.astype(np.float64)


def _own(batch: Any) -> Any:
    """A batch whose images lie in this process's memory, not in that of a worker."""
    inputs = batch['inputs']
    copied = (
        inputs.clone() if isinstance(inputs, Tensor) else [i.clone() for i in inputs]
    )
    return dict(batch, inputs=copied)


def _key(**parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
