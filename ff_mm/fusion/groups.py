"""What levels group by besides hyper-parameters: basins, and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ff_mm.config import read_options
from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.fusion.basins import KEY as BASIN
from ff_mm.fusion.basins import BasinOptions, Basins, find_basins
from ff_mm.fusion.session import EvaluationSetup
from ff_mm.merging import Ingredient, Level
from ff_mm.merging.pool import Pool
from ff_mm.merging.runs import KEY as RUN
from ff_mm.merging.runs import with_runs


@dataclass(frozen=True)
class Groups:
    """What the levels of a soup ask for.

    Attributes:
        basins: How basins are told apart; None: no level groups by them, or by those
            that ingredients name themselves.
        runs: Whether a level groups by runs.
    """

    basins: BasinOptions | None
    runs: bool

    @classmethod
    def read(cls, basins: Any, levels: Sequence[Level]) -> Groups:
        """Reads what a config says.

        Args:
            basins: Its ``soup.basins``.
            levels: Of the soup.

        Raises:
            ConfigError: Options of basins that are none, or that no level asks for.
        """
        keys = {key for level in levels for key in level.keys}
        if basins is not None and BASIN not in keys:
            raise ConfigError(
                f'soup.basins={basins!r}: no level groups by them; give '
                f'soup.group_by={BASIN!r}, or leave soup.basins out'
            )
        options = (
            None
            if basins is None
            else read_options(BasinOptions, basins, 'soup.basins')
        )
        return cls(options, RUN in keys)

    def runs_of(
        self,
        ingredients: Sequence[Ingredient],
        pool: Pool,
        notify: Callable[[str], None],
    ) -> list[Ingredient]:
        """Returns the ingredients with their runs, if a level asks for them."""
        if not self.runs:
            return list(ingredients)
        found = with_runs(ingredients, pool.entries)
        sizes = Counter(i.hyper[RUN] for i in found if RUN in i.hyper)
        notify(
            f'{len(sizes)} runs: {", ".join(f"{k} ({n})" for k, n in sizes.items())}'
        )
        if sizes and max(sizes.values()) == 1:
            notify(
                'note: each run has but one ingredient, so there is nothing to average '
                'in any; a plan with fission or plan.base.averages leaves more'
            )
        return found

    def basins_of(
        self,
        ingredients: Sequence[Ingredient],
        candidates: CandidateEvaluator,
        setup: EvaluationSetup,
        selection: Mapping[str, str],
        notify: Callable[[str], None],
    ) -> Basins | None:
        """Groups the pool by connectivity, if a level asks for it."""
        if self.basins is None:
            return None
        metric = self.basins.barrier_metric(selection['metric'], setup.has_loss)
        rule = setup.rule(metric, selection)
        basins = find_basins(candidates, ingredients, self.basins, metric, rule)
        for number, names in basins.members.items():
            notify(f'basin {number}: {", ".join(names)}')
        return basins
