"""An ensemble of a pool, in one file that is used like a model."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.fusion.ensemble_file import ensemble_config
from ff_mm.fusion.soup_runner import SoupRunner
from ff_mm.fusion.soups import read_levels
from ff_mm.merging import Ingredient, Level, StateDict
from ff_mm.merging.ensemble import Ensemble
from ff_mm.merging.hierarchical import check_groups, soups_of_groups
from ff_mm.merging.recipe import is_single
from ff_mm.merging.soups.choice import option_names
from ff_mm.merging.soups.ensemble_selection import EnsembleSelectionOptions
from ff_mm.models.ensemble_classifier import AVERAGES, ensemble_head, ensemble_weights
from ff_mm.tasks import task_of

_SELECTION = 'ensemble_selection'
_MEMBERS = ('all', 'selection')
ENSEMBLE_FILE = 'ensemble.pth'


@RUNNERS.register_module()
class EnsembleRunner(SoupRunner):
    """Makes one file of several models, whose predictions are averaged.

    It is no soup: at inference it takes as many passes and as much memory as it has
    members. Options of ``soup``:

    - ``members``: ``'all'``, each as much, or ``'selection'``, those that ensemble
      selection takes on validation, as often as it does; its options are those of
      :class:`ff_mm.merging.soups.ensemble_selection.EnsembleSelectionOptions`.
    - ``average``: ``'probabilities'`` or ``'logits'``.
    - ``levels``: of soups whose tops are the members, as of
      :class:`ff_mm.fusion.soups.HierarchicalSoupRunner`, but that they need not leave
      one: ``[dict(soup='uniform', group_by='lr')]``. Without, the ingredients are.

    Examples:
        >>> soup = dict(members='selection', average='logits', rounds=20)
    """

    method = 'ensemble'
    title = 'ensemble'
    file_name = ENSEMBLE_FILE
    soup_keys = ('members', 'levels', 'basins', 'merge', *option_names(_SELECTION))

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        task_of(self.cfg).require_scores(f'runner_type={type(self).__name__!r}')
        self.average = self._one_of('average', AVERAGES)
        self.chosen = self._one_of('members', _MEMBERS) == 'selection'
        given = {
            name: self.options[name]
            for name in option_names(_SELECTION)
            if name in self.options
        }
        self.selection_options = EnsembleSelectionOptions(**given)
        ensemble_head(self.cfg.model)  # says what is wrong with the model's

    def _one_of(self, name: str, values: Sequence[str]) -> str:
        value = self.options.get(name, values[0])
        if value not in values:
            raise ConfigError(
                f'soup.{name}={value!r}: expected one of {", ".join(values)}'
            )
        return value

    def build_levels(self) -> list[Level]:
        """Returns the levels whose soups are the members."""
        levels = self.options.get('levels') or ()
        return read_levels(levels, self.options.get('merge'))

    def _combine(self, ingredients: Sequence[Ingredient], store: Path) -> Ensemble:
        check_groups(ingredients, self.levels, self.method)
        members = soups_of_groups(
            ingredients, self.levels, self.scorer, store, self._supplies
        )
        if self.chosen:
            options = self.selection_options
            made = Ensemble.selected(members, self.scorer, self.method, options)
        else:
            made = Ensemble.of_all(members, self.method, self.average)
        number = len(made.members)
        self.line(f'members, and passes and models at inference: {number}')
        return made

    def _finish(self, soup: Ensemble) -> dict[str, Any]:
        with self._network_of(soup):
            report = super()._finish(soup)
        score = report['val'].get(self.metric)
        if report['decision']:
            score = report['decision']['before']['val'].get(self.metric)
        return dict(report, tree=replace(soup, score=score).tree())

    @contextmanager
    def _network_of(self, made: Ensemble) -> Iterator[None]:
        """Has the ensemble itself evaluated, as it will be used."""
        single, candidates = self.evaluator, self.candidates
        cfg = copy.deepcopy(single.cfg)
        # What MMEngine keeps by the work directory is not that of the members.
        cfg.work_dir = str(Path(cfg.work_dir) / 'log' / self.method)
        cfg = ensemble_config(cfg, made.weights, made.average)
        merged = any(not is_single(member.recipe) for member in made.members)
        self.evaluator = ModelEvaluator(cfg, self.line)
        self.of_members = candidates
        self.candidates = CandidateEvaluator(
            self.evaluator,
            candidates.memo,
            candidates.digests,
            candidates.selection,
            candidates.team,
            bn_samples=self.bn_samples,
            reestimated='merged' if self.bn_candidates and merged else 'needed',
            console=self.console,
        )
        try:
            yield
        finally:
            self.evaluator.close()
            self.evaluator, self.candidates = single, candidates

    def _weights(self, soup: Ensemble) -> StateDict:
        classes = self.evaluator.cfg.model['head']['num_classes']
        return ensemble_weights(soup.load(), classes)

    def _tree(self, soup: Ensemble) -> dict[str, Any]:
        return soup.tree()

    def _leaves(self, soup: Ensemble) -> dict[str, float | None]:
        return soup.of_leaves

    def _contents(self, soup: Ensemble) -> dict[str, Any]:
        members = zip(soup.members, soup.weights, strict=True)
        named = [dict(name=member.name, weight=weight) for member, weight in members]
        parameters = sum(p.numel() for p in self.evaluator.model.parameters())
        return dict(
            super()._contents(soup),
            ensemble=dict(average=soup.average, members=named, parameters=parameters),
        )

    def _cost(self) -> dict[str, Any]:
        """Passes of the ensemble are counted as those of its members."""
        members = len(self.evaluator.cfg.model['weights'])
        spent = self.of_members.cost(self.scorer.in_vain, self.scorer.remembered)
        own = self.candidates.cost()
        for name in own['images']:
            spent[name] = spent.get(name, 0) + members * own[name]
        images = Counter(spent['images'])
        images.update({k: members * v for k, v in own['images'].items()})
        return dict(spent, images=dict(images))
