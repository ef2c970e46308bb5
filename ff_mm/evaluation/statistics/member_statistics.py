"""Statistics of the members of soups: made once a model, and kept."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.console import Console
from torch import Tensor

from ff_mm.config import read_options
from ff_mm.display.progress import CountProgress
from ff_mm.engine.precision import FLOAT32, TF32
from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.statistics.fisher import Fisher
from ff_mm.evaluation.statistics.gram import gram_matrices
from ff_mm.evaluation.statistics.images import TrainingImages
from ff_mm.merging import Candidate
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods import Supply
from ff_mm.merging.methods.statistics import empty
from ff_mm.merging.recipe import key_of
from ff_mm.merging.state_dict import CheckpointError, write_checkpoint
from ff_mm.parallel.team import Team
from ff_mm.parallel.together import first_alone, in_turn

#: What there is, by the name under which methods need it.
STATISTICS = dict(fisher='Fisher information', gram='Gram matrices')

# Changes with what an estimator gives for the same model and images.
_VERSION = 1


@dataclass(frozen=True)
class StatisticsOptions:
    """The values of a config's ``soup.statistics``.

    Attributes:
        num_samples: On how many training images statistics are made; the same ones for
            all models, without augmentation.
        labels: Of the Fisher information: ``'exact'``, the expectation over the classes
            (a backward pass an image for each but one, of several labels for each), or
            ``'sampled'``, one draw from the model's own distribution (one pass).
    """

    num_samples: int = 256
    labels: str = 'exact'

    def __post_init__(self) -> None:
        number = self.num_samples
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ConfigError(
                f'soup.statistics.num_samples={number!r}: expected a whole number of '
                'training images'
            )
        if self.labels not in ('exact', 'sampled'):
            raise ConfigError(
                f"soup.statistics.labels={self.labels!r}: expected 'exact' or 'sampled'"
            )

    @classmethod
    def from_config(cls, values: Any) -> StatisticsOptions:
        """Reads a config's ``soup.statistics``.

        Raises:
            ConfigError: An unknown key, or a value out of its range.
        """
        return read_options(cls, values, 'soup.statistics')


def require_training_data(cfg: Config, needed: Sequence[str]) -> None:
    """Refuses a config without the images on which statistics are made.

    Args:
        cfg: A resolved config.
        needed: What methods need.

    Raises:
        ConfigError: It has no ``train_dataloader``.
    """
    for name in needed:
        if name in STATISTICS and not cfg.get('train_dataloader'):
            raise ConfigError(
                f'{cfg.filename}: merging needs the {STATISTICS[name]} of each member '
                'on training images, and there is no train_dataloader'
            )


class MemberStatistics:
    """Statistics of members, each made once and kept in a file by what it is of.

    What names a file is all that decides what is in it: the weights, the images, the
    network and the estimator. So an interrupted command goes on where it was, and a
    model that comes again, at another level or in another soup, is not looked at again.

    Args:
        candidates: Loads models, and knows them by content.
        options: How statistics are made.
        folder: Where files are kept, which all processes see.
        known: Files of other folders by key, which soups of one command share.
        team: The processes of the command.
        sharing: Those that share models out; one where they do all the same, since
            passes are split over them.
        console: Where progress is shown.
    """

    def __init__(
        self,
        candidates: CandidateEvaluator,
        options: StatisticsOptions,
        folder: Path,
        known: dict[str, Path] | None = None,
        team: Team | None = None,
        sharing: Team | None = None,
        console: Console | None = None,
    ) -> None:
        self._candidates = candidates
        self._evaluator = candidates.evaluator
        self._options = options
        self._folder = folder
        self._known = {} if known is None else known
        self._team = team or Team.alone()
        self._sharing = sharing or Team.alone()
        self._console = console or Console(quiet=True)
        self._images = TrainingImages(self._evaluator.cfg, options.num_samples)
        self._fisher = Fisher.of(self._evaluator.model, options.labels)
        self._contents: dict[str, str] = {}
        self._files: dict[str, CheckpointFile] = {}
        self._made: dict[str, list[dict[str, Any]]] = {}
        self._totals: dict[str, dict[str, float]] = {name: {} for name in STATISTICS}

    def supply(self, name: str) -> Supply:
        """Returns what methods are given.

        Args:
            name: A key of :data:`STATISTICS`.
        """
        return Supply(
            partial(self._of, name), self._content(name), partial(self._prepare, name)
        )

    def describe(self) -> list[dict[str, Any]] | None:
        """What has been made, for a report; None if nothing was asked for."""
        return [
            dict(
                name=name,
                title=STATISTICS[name],
                num_samples=len(self._images),
                **(asdict(self._fisher) if name == 'fisher' else {}),
                made=len(made),
                backward_passes=sum(one['passes'] for one in made),
                seconds=round(sum(one['seconds'] for one in made), 2),
                members=[
                    dict(name=member, sum=total)
                    for member, total in self._totals[name].items()
                ],
            )
            for name, made in self._made.items()
        ] or None

    def _of(self, name: str, member: AnyIngredient) -> Mapping[str, Tensor]:
        return self._files[self._key(name, member)].in_passing()

    def _prepare(self, name: str, members: Sequence[AnyIngredient]) -> None:
        """Has the statistics of members in files; all processes call it."""
        made = self._made.setdefault(name, [])
        what = f'statistics {name}'
        by_key = {self._key(name, member): member for member in members}
        missing = first_alone(
            self._team, what, lambda: [k for k in by_key if not self._find(name, k)]
        )

        def note(key: str, outcome: Mapping[str, Any]) -> None:
            made.append(dict(outcome))
            progress.advance()

        title = f'{STATISTICS[name]} of members'
        with CountProgress(title, len(missing), self._console, 'members') as progress:
            in_turn(
                self._sharing,
                what,
                missing,
                lambda key: self._make(name, key, by_key[key]),
                note,
            )
        for key, member in by_key.items():
            if key not in self._files:
                path = self._known.setdefault(key, self._path(name, key))
                self._files[key] = self._opened(path, name, key, member.name)

    def _make(self, name: str, key: str, member: AnyIngredient) -> dict[str, Any]:
        """Makes one, and writes it."""
        began = time.perf_counter()
        self._candidates.load(Candidate(member.name, member.recipe, member.load))
        network = self._evaluator.model
        images = self._images.batches(network)
        passes = 0
        evaluator = self._evaluator
        with evaluator.options.precision(evaluator.device, mixed=False):
            if name == 'fisher':
                found, passes = self._fisher.estimate(network, images)
            else:
                found = gram_matrices(network, images)
        _total(name, found, member.name)
        meta = dict(statistic=name, key=key, images=len(self._images))
        write_checkpoint(dict(state_dict=found, meta=meta), self._path(name, key))
        return dict(passes=passes, seconds=time.perf_counter() - began)

    def _opened(self, path: Path, name: str, key: str, member: str) -> CheckpointFile:
        """Opens a file, which must be what its name says.

        Raises:
            CheckpointError: It is damaged, or another's; names it.
        """
        file = CheckpointFile(path)
        try:
            if file.meta.get('key') != key or file.meta.get('statistic') != name:
                raise CheckpointError('is that of another model or of other images')
            self._totals[name][member] = _total(name, file.in_passing(), member)
        except CheckpointError as error:
            reason = str(error).removeprefix(f'{path}: ')
            raise CheckpointError(
                f'{path}: {reason}; remove the file, and it is made anew'
            ) from error
        return file

    def _find(self, name: str, key: str) -> bool:
        return (
            key in self._files or key in self._known or self._path(name, key).is_file()
        )

    def _path(self, name: str, key: str) -> Path:
        return self._folder / f'{name}_{key}.pth'

    def _key(self, name: str, member: AnyIngredient) -> str:
        parts = self._candidates.content(member.recipe)
        return key_of(f'{name} {self._content(name)}', parts)

    def _content(self, name: str) -> str:
        """What statistics consist of, but for the weights."""
        if name not in self._contents:
            parts = dict(
                version=_VERSION,
                shown=self._images.fingerprint,
                images=self._images.config,
                num_samples=len(self._images),
                model=self._evaluator.cfg.model,
                estimator=asdict(self._fisher) if name == 'fisher' else None,
            )
            # There is no mixed precision, and float32 has no name where it is all.
            precision = str(self._evaluator.precision)
            if precision in (FLOAT32, TF32):
                parts['precision'] = precision
            text = json.dumps(parts, sort_keys=True, default=str)
            self._contents[name] = hashlib.sha256(text.encode()).hexdigest()
        return self._contents[name]


def _total(name: str, found: Mapping[str, Tensor], member: str) -> float:
    """The sum of all that can be added up: of Gram matrices, the diagonals.

    Raises:
        CheckpointError: It is zero or no number, or a value is none that there can be.
    """
    total = 0.0
    for key in found:
        value = found[key]
        if name == 'gram' and value.ndim == 3:
            value = value.diagonal(dim1=-2, dim2=-1)
        if not bool((value >= 0).all()):
            raise CheckpointError(
                f'the {STATISTICS[name]} of {member!r}: {key} is negative or no number'
            )
        total += float(value.sum(dtype=torch.float64))
    if not math.isfinite(total):
        raise CheckpointError(f'the {STATISTICS[name]} of {member!r} is not finite')
    if total == 0:
        raise CheckpointError(empty(member, STATISTICS[name]))
    return total
