"""Makes the models that are compared, where no test set can be seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.comparison.method import Method
from ff_mm.config import ANALYSES
from ff_mm.errors import ConfigError
from ff_mm.evaluation.cases import cases_of
from ff_mm.files import sha256, write_json
from ff_mm.fusion.ensemble_file import ENSEMBLE
from ff_mm.fusion.session import FusionSession
from ff_mm.fusion.soup_runner import SoupRunner
from ff_mm.merging.pool import Pool
from ff_mm.merging.recipe import Part, by_content
from ff_mm.records import (
    COUNT,
    NUMBER,
    SHA256,
    TEXT,
    Optional,
    RecordError,
    Rows,
    Table,
    read_record,
)
from ff_mm.tracking import without_trackers

#: Keys that only a comparison, or a fusion of fusions, has.
OF_COMPARISON = (
    'pools',
    'methods',
    'baseline',
    'bootstrap',
    'published',
    'fusions',
    'pool',
    'decision',
    'budget',
    'ensemble',
    *ANALYSES,
)
#: What selection must not see.
HIDDEN = ('test_dataloader', 'test_evaluator', 'test_cfg', 'ood_dataloaders')
_MADE = 'made.json'
# What a report says of a file that is more than a mean of ingredients.
_BEYOND_A_MEAN = ('bn_reestimation', 'decision', 'ensemble')
_AFFINE: dict[str, Any] = dict(scale=NUMBER, bias=Rows(NUMBER))
_DECISION = Table(
    **_AFFINE,
    cross_fitting=Table(decisions=Rows(Table(**_AFFINE)), fold=Rows(COUNT)),
)
_MADE_TABLE = Table(
    key=TEXT,
    sha256=SHA256,
    images=Optional(TEXT),
    # What a comparison asks of it.
    report=Table(
        method=TEXT,
        ingredients=Rows(Table(name=TEXT, weight=Optional(NUMBER))),
        seconds=NUMBER,
        decision=Optional(_DECISION),
        ensemble=Optional(ENSEMBLE),
        evaluations=Table(
            selection=COUNT,
            remembered=COUNT,
            basins=Optional(COUNT),
            decision=Optional(COUNT),
            images=Table(val=COUNT, train=Optional(COUNT)),
        ),
    ),
)


@dataclass(frozen=True)
class MethodModel:
    """What a method made of one pool: a soup; of an ensemble just the pool.

    Attributes:
        source: Where the ingredients come from, as the config says it.
        pool: The ingredients.
        report: The soup's report.
        file: The soup's weights.
    """

    source: Any
    pool: Pool
    report: Mapping[str, Any] | None = None
    file: Path | None = None

    @property
    def models(self) -> int:
        """How many models there are at inference."""
        if self.report is None:
            return len(self.recipe)
        ensemble = self.report.get('ensemble')
        return len(ensemble['members']) if ensemble else 1

    @property
    def recipe(self) -> dict[str, float | None]:
        """Weight by ingredient; None of what was merged and not added.

        Those of an ensemble weigh equally.
        """
        if self.report is None:
            names = [entry.name for entry in self.pool.entries]
            return dict.fromkeys(names, 1 / len(names))
        return {item['name']: item['weight'] for item in self.report['ingredients']}

    def content(self, digests: Mapping[str, str]) -> dict[str, float]:
        """Returns what identifies a soup's weights.

        Args:
            digests: SHA-256 of the ingredients' files by name.

        Returns:
            Weight by digest of ingredients, of a mean as it is; else of its own file,
            as other things than ingredients are in it: a merging method, its options,
            training data for batch norm, a decision, several models.
        """
        weights: dict[Part, float] = {
            n: weight for n, weight in self.recipe.items() if weight is not None
        }
        assert self.report is not None and self.file is not None
        own = any(self.report.get(key) for key in _BEYOND_A_MEAN)
        if own or len(weights) < len(self.recipe):
            return {sha256(self.file): 1.0}
        return by_content(weights, digests)


def check_method(
    cfg: Config, method: Method, source: Any, key: str = 'methods'
) -> None:
    """Checks the options of a method, before anything is computed.

    Args:
        cfg: The resolved config of the comparison.
        method: The method.
        source: A pool that it is for.
        key: Where methods stand in the config.

    Raises:
        ConfigError: What the method's soup runner says, or that it is none.
    """
    if method.is_ensemble:
        return
    kind = RUNNERS.get(method.runner_type)
    if kind is None or not issubclass(kind, SoupRunner):
        raise ConfigError(
            f'{key}.{method.name}: runner_type={method.runner_type!r} is not one of a'
            " soup, such as 'GoGSoupRunner'"
        )
    try:
        kind(selection_config(cfg, method, source, Path(cfg.work_dir)))
    except ConfigError as error:
        raise ConfigError(f'{key}.{method.name}: {error}') from None


def make_model(
    session: FusionSession,
    cfg: Config,
    method: Method,
    source: Any,
    folder: Path,
    notify: Callable[[str], None],
) -> MethodModel:
    """Lets a method make its model of one pool, if it has not done so before.

    Args:
        session: What all of them share.
        cfg: The resolved config of the comparison.
        method: The method.
        source: The pool.
        folder: Where the soup goes.
        notify: Takes lines for the user.

    Raises:
        CheckpointError: All that is wrong with the ingredients.
    """
    pool = session.pool(source, cfg.get('origin'))
    if method.is_ensemble:
        return MethodModel(source, pool)
    planned = plan_model(session, cfg, method, source, folder, notify)
    runner, report = planned.runner, planned.report
    if report is None:
        (folder / _MADE).unlink(missing_ok=True)
        report = runner.run(session)
    if not planned.is_noted:
        made = dict(key=planned.key, sha256=sha256(runner.file), report=report)
        write_json(dict(made, images=planned.images), folder / _MADE)
    return MethodModel(source, pool, report, runner.file)


@dataclass(frozen=True)
class PlannedModel:
    """What a method is to make of one pool, or has made.

    Attributes:
        runner: Makes it.
        key: What identifies how.
        images: What identifies the images that it takes.
        report: Of what was made before in just this way; None: it is to be made.
        is_noted: Whether the record of that says of which images it is.
    """

    runner: SoupRunner
    key: str
    images: str
    report: dict[str, Any] | None
    is_noted: bool


def plan_model(
    session: FusionSession,
    cfg: Config,
    method: Method,
    source: Any,
    folder: Path,
    notify: Callable[[str], None],
) -> PlannedModel:
    """Finds out whether a method has made its model of one pool before.

    Args:
        session: What all of them share.
        cfg: The resolved config of the comparison.
        method: The method, no ensemble.
        source: The pool.
        folder: Where the soup goes.
        notify: Takes lines for the user.

    Raises:
        CheckpointError: All that is wrong with the ingredients.
    """
    pool = session.pool(source, cfg.get('origin'))
    cfg = selection_config(cfg, method, source, folder)
    evaluator = session.setup(cfg, notify).evaluator
    contents = sorted(session.digests(pool).items())
    # The config says of the origin no more than its path, if so much.
    contents += [(name, s.content) for name, s in session.supplies(pool).items()]
    runner = RUNNERS.build(cfg)
    if runner.decision is not None:
        # The config says of training labels and groups no more than where they are.
        steps = runner.decision.prepared(evaluator, session.team).steps
        _, groups = cases_of(evaluator.val_dataset)
        listed = None if groups is None else groups.tolist()
        contents.append(('decision', repr((steps, listed))))
    key = _digest(cfg, contents, evaluator.keys['val'])
    images = evaluator.images['val']
    if runner.bn_samples is not None:
        images += f' {evaluator.training_images}'
    made = _made_before(runner.file, key, {entry.name for entry in pool.entries})
    report = made['report'] if made else None
    if made and made.get('images') not in (None, images):
        notify(f'{folder}: made with other images under the same names; made anew')
        report = None
    noted = made is not None and made.get('images') == images
    return PlannedModel(runner, key, images, report, noted)


def selection_config(cfg: Config, method: Method, source: Any, folder: Path) -> Config:
    """Returns the config of one soup, without the sets that it is not chosen on.

    Args:
        cfg: The resolved config of the comparison.
        method: The method.
        source: The pool.
        folder: The soup's work directory.
    """
    tree = cfg.to_dict()
    for key in (*OF_COMPARISON, *HIDDEN):
        tree.pop(key, None)
    tree.update(
        runner_type=method.runner_type,
        soup=dict(method.soup),
        selection=dict(method.selection or tree['selection']),
        ingredients=source,
        work_dir=str(folder),
    )
    own = Config(tree, filename=cfg.filename)
    without_trackers(own)  # one run of all: what is made before is not made again
    return own


def _digest(
    cfg: Config, ingredients: Sequence[tuple[str, str]], validation: str
) -> str:
    tree = {key: value for key, value in cfg.to_dict().items() if key != 'work_dir'}
    text = json.dumps([tree, ingredients, validation], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _made_before(file: Path, key: str, pool: Collection[str]) -> dict | None:
    """The record of a soup that was made in just this way; None if there is none."""
    if not file.is_file():
        return None
    try:
        made = read_record(file.parent / _MADE, _MADE_TABLE, 'what a method has made')
        whole = made['sha256'] == sha256(file)
        names = [each['name'] for each in made['report']['ingredients']]
        fits = bool(names) and set(names) <= set(pool) and len({*names}) == len(names)
        return made if fits and whole and made['key'] == key else None
    except (OSError, RecordError):
        return None
