"""The soup of recipes that were trained on folds, chosen by out-of-fold predictions."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.datasets.checks.check import fingerprint
from ff_mm.datasets.folds import fold_config
from ff_mm.display.numbers import shown
from ff_mm.errors import ConfigError
from ff_mm.evaluation.out_of_fold import CONFIDENCE, OutOfFold
from ff_mm.fusion.pool_notes import other_classes, pool_notes
from ff_mm.fusion.session import FOLD_LOADERS, FusionSession
from ff_mm.fusion.soup_runner import SoupRunner
from ff_mm.merging import Ingredient, Level, Soup, StateDict
from ff_mm.merging.folds import FOLD, Folds
from ff_mm.merging.pool import Pool, PoolEntry
from ff_mm.tasks import task_of
from ff_mm_commands.table import typed

#: What the ingredients of one recipe have in common.
RECIPE = 'recipe'
_TYPES = ('greedy', 'best', 'uniform', 'pruned')


@RUNNERS.register_module()
class FoldSoupRunner(SoupRunner):
    """The soup of a plan with folds: recipes chosen on all of its images.

    A recipe is what the models of all folds have in common: learning rate, stage,
    cycle, ... It, or a mean of some, is judged by its out-of-fold predictions: each
    fold is predicted by the mean of those of its models that have not seen it, and all
    predictions together are scored once. The soup is the mean of the models of all
    folds of the recipes that were chosen.

    ``soup=dict(type='greedy')``: how recipes are chosen: ``'greedy'``, ``'best'``,
    ``'uniform'`` or ``'pruned'``; ``accept_ties`` and ``bn_reestimation``, on images of
    all folds, as of any soup. What it reports of validation is out of fold, and thus of
    the recipes; the mean of all folds' models has seen every image.
    """

    method = 'folds'
    title = 'folds'
    is_of_folds = True
    # One left out would be missing in its recipe.
    keeps_copies = True

    def _check_keys(self) -> None:
        known = ('type', 'accept_ties', 'bn_reestimation')
        if unknown := sorted(set(self.options) - set(known)):
            raise ConfigError(
                f'soup: {unknown[0]!r} is not for folds, there are {sorted(known)}'
            )
        kind = self.options.get('type', _TYPES[0])
        if kind not in _TYPES:
            raise ConfigError(f'soup.type={kind!r}: expected one of {list(_TYPES)}')

    def build_levels(self) -> list[Level]:
        """Returns recipes, and what is chosen of these."""
        task_of(self.cfg).require_scores(f'runner_type={type(self).__name__!r}')
        kind = self.options.get('type', _TYPES[0])
        return [Level('uniform', RECIPE), Level(kind)]

    @property
    def deployed(self) -> Config:
        """The config as it was before it was cut."""
        return self._uncut

    def prepare(self, session: FusionSession) -> list[Ingredient]:
        """Cuts validation as the plan did, and checks as all soups do."""
        pool = session.pool(self.cfg.ingredients, self.cfg.get('origin'), folds=True)
        if pool.folds is None:
            raise ConfigError(
                f'ingredients={self.cfg.ingredients!r}: expected the ingredients.json '
                'of a plan with folds (plan.folds=5), or several of one and the same '
                'cut; of files by themselves nobody knows what they have seen'
            )
        self._folds = pool.folds
        self._uncut = self.cfg
        self.cfg = _cut(self.cfg, pool.folds)
        return super().prepare(session)

    def _ingredients(self, pool: Pool) -> list[Ingredient]:
        """The ingredients of all recipes that each fold has a model of."""
        self._check_cases()
        for note in other_classes(pool, self.evaluator):
            self.line(note)
        placement = self.session.placement(pool, self.line)
        recipes: dict[str, list[PoolEntry]] = {}
        for entry in pool.entries:
            recipes.setdefault(str(entry.recipe), []).append(entry)
        chosen = []
        for name, entries in recipes.items():
            lacking = set(range(self._folds.number)) - {e.hyper[FOLD] for e in entries}
            if lacking:
                fold = min(lacking)
                self.line(f'note: {name} is left out: no model of it for fold {fold}')
                continue
            chosen += [
                Ingredient.from_file(
                    entry.checkpoint,
                    name=entry.name,
                    hyper={**entry.hyper, RECIPE: name},
                    placement=placement,
                )
                for entry in entries
            ]
        if not chosen:
            raise ConfigError(
                f'ingredients: of no recipe there is a model for each of the '
                f'{self._folds.number} folds; train what is left of the plan'
            )
        self._members = [
            {each.name: each for each in chosen if each.hyper[FOLD] == fold}
            for fold in range(self._folds.number)
        ]
        images = sum(len(self._set(fold).dataset) for fold in range(self._folds.number))
        names = {each.hyper[RECIPE] for each in chosen}
        self.line(
            f'{self.title}: {len(names)} recipes of {len(chosen)} models, judged on '
            f'{images} images, each by models that have not seen it'
        )
        for note in pool_notes(pool):
            self.line(note)
        return chosen

    def _check_cases(self) -> None:
        """Refuses folds of other images than those of the training.

        Raises:
            ConfigError: They are; models would be judged on what they have seen.
        """
        for fold, cases in enumerate(self._folds.cases):
            if fingerprint(self._set(fold).dataset) != cases:
                raise ConfigError(
                    f'{self.cfg.filename}: train_dataloader and val_dataloader give '
                    f'other images or labels in fold {fold} than the plan has had, so '
                    'its models may have seen them; give the data sets of the plan'
                )

    def _set(self, fold: int) -> Any:
        return self.evaluator.sets[_set_name(fold)]

    def judge(self) -> OutOfFold:
        """Returns what scores recipes by out-of-fold predictions."""
        names = [_set_name(fold) for fold in range(self._folds.number)]
        self._judge = OutOfFold(
            self.candidates, names, self._members, self.work_dir, self.line
        )
        return self._judge

    def _finish(self, soup: Soup) -> dict[str, Any]:
        """Writes the soup; validation is told as it is out of fold."""
        report = super()._finish(soup)
        seen, out_of_fold = report['val'], self._judge.metrics(soup.recipe)
        value = out_of_fold[self.metric]
        intervals = self._judge.intervals(soup.recipe)
        passes = report['evaluations']['selection']
        low, high = intervals.get(self.metric, (None, None))
        recipes = [member.hyper[RECIPE] for member in soup.members]
        self.line(
            f'{self.title}: {", ".join(recipes)}: out-of-fold {self.metric} '
            f'{shown(value)} ({CONFIDENCE:.0%} interval {shown(low)} to {shown(high)})'
        )
        greater = self.cfg.selection['rule'] == 'greater'
        averaged = self.evaluator.has_batch_norm and report['bn_reestimation'] is None
        worst = low if greater else high
        note = mean_that_fails(self.metric, greater, worst, seen[self.metric], averaged)
        if note:
            self.line(note)
        refit = refit_options(self.pool, recipes)
        self.line(
            f'{self.title}: to train this on all images instead: {typed("train")} '
            f'CONFIG_OF_THE_PLAN --work-dir NEW --cfg-options {" ".join(refit)}'
        )
        return dict(
            report,
            val=out_of_fold,
            evaluations=dict(
                report['evaluations'],
                # A pass of one fold is of a part of the images.
                selection=-(-passes // self._folds.number),
            ),
            folds=dict(
                number=self._folds.number,
                seed=self._folds.seed,
                recipes=recipes,
                confidence=CONFIDENCE,
                intervals=intervals,
                seen=seen,
                refit=refit,
            ),
        )

    def _write_soup(self, state_dict: StateDict, contents: Mapping[str, Any]) -> None:
        folds = dict(number=self._folds.number, seed=self._folds.seed)
        super()._write_soup(state_dict, dict(contents, folds=folds))


def mean_that_fails(
    metric: str, greater: bool, worst: float | None, seen: float, averaged: bool
) -> str | None:
    """Returns a line if a mean of all folds' models is worse where it was trained.

    That cannot be where the models lie in one basin.

    Args:
        metric: The one that selects.
        greater: Whether a greater value of it is better.
        worst: The worse end of its out-of-fold interval; None: there is none.
        seen: What the mean has on the same images, on all of which it was trained.
        averaged: Whether batch-norm statistics are the mean of the models'.
    """
    if worst is None or (seen >= worst if greater else seen <= worst):
        return None
    remedy = 'train the recipe on all images instead'
    if averaged:
        remedy = (
            'averaged batch-norm statistics may be why: try '
            f'soup.bn_reestimation="dict(num_samples=2048)"; else {remedy}'
        )
    return (
        f'note: the mean of all folds has {metric} {shown(seen)} on images that it was '
        f'trained on, where models that have not seen them have {shown(worst)} at the '
        f'worst end: they do not lie in one basin, the soup is of no use; {remedy}'
    )


def refit_options(pool: Pool, recipes: Sequence[str]) -> list[str]:
    """Returns what a plan's config is to be given to train recipes on all images.

    The rates are those of the recipes, and bases are trained for as many epochs as
    those of the folds took to be best, on average.

    Args:
        pool: All ingredients.
        recipes: Names of some.
    """
    chosen = [entry for entry in pool.entries if entry.recipe in recipes]
    lrs = {entry.hyper['lr'] for entry in chosen if 'lr' in entry.hyper}
    bases = [
        entry.checkpoint.meta.get('ingredient', {}).get('epoch')
        for entry in pool.entries
        if entry.hyper.get('stage') == 'base' and entry.hyper.get('lr') in lrs
    ]
    epochs = [epoch for epoch in bases if isinstance(epoch, int)]
    options = ['plan.folds=all', 'plan.base.keep=last', 'plan.base.patience=None']
    options += [f'plan.base.epochs={round(mean(epochs))}'] if epochs else []
    listed = ','.join(repr(lr) for lr in sorted(lrs))
    return [*options, *([f'plan.lrs=[{listed}]'] if lrs else [])]


def _set_name(fold: int) -> str:
    return f'fold/{fold}'


def _cut(cfg: Config, folds: Folds) -> Config:
    """Returns the config with a validation set for each fold; the others are of all."""
    cut = dict(number=folds.number, seed=folds.seed)
    new = copy.deepcopy(cfg)
    new[FOLD_LOADERS] = {
        _set_name(fold): dict(
            cfg.val_dataloader.to_dict(),
            dataset=fold_config(cfg, 'val', cut, fold, 'val'),
        )
        for fold in range(folds.number)
    }
    for loader in ('train', 'val'):
        new[f'{loader}_dataloader'].dataset = fold_config(cfg, loader, cut, None, 'all')
    return new
