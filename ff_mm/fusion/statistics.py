"""Statistics of models that the merges of a soup need, if they need any."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console

from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.statistics.member_statistics import (
    STATISTICS,
    MemberStatistics,
    StatisticsOptions,
    require_training_data,
)
from ff_mm.files import remove_unfinished
from ff_mm.fusion.session import FusionSession
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Supply

FOLDER = 'statistics'


class SoupStatistics:
    """What merging methods are given of each member.

    Args:
        cfg: A resolved fusion config; ``soup.statistics`` says how they are made.
        merges: How members are combined, wherever they are.

    Raises:
        ConfigError: ``soup.statistics`` that cannot be read, or no training images
            though they are needed.

    Attributes:
        names: Those that are needed.
        supplies: What methods are given, by name; they can be asked for their values
            after :meth:`start`.
    """

    def __init__(self, cfg: Config, merges: Iterable[Merge]) -> None:
        needs = {need for merge in merges for need in merge.method.needs}
        self.names = [name for name in STATISTICS if name in needs]
        require_training_data(cfg, self.names)
        given = (cfg.get('soup') or {}).get('statistics')
        self._options = StatisticsOptions.from_config(given)
        self._made: MemberStatistics | None = None
        self.supplies = {name: Supply(None, '') for name in self.names}

    def start(
        self,
        session: FusionSession,
        candidates: CandidateEvaluator,
        work_dir: Path,
        console: Console,
    ) -> None:
        """Makes ready what they are made with; all processes call it.

        Args:
            session: Whose soups have in common what is made; it has been set up.
            candidates: Loads models.
            work_dir: Where the folder of their files is.
            console: Where progress is shown.
        """
        if not self.names:
            return
        if session.is_first:  # the others wait for it before they make any
            remove_unfinished(work_dir / FOLDER)
        self._made = made = MemberStatistics(
            candidates,
            self._options,
            work_dir / FOLDER,
            session.statistics,
            session.team,
            session.sharing,
            console,
        )
        self.supplies = {name: made.supply(name) for name in self.names}

    def describe(self) -> list[dict[str, Any]] | None:
        """What has been made, for the report; None where nothing was needed."""
        return None if self._made is None else self._made.describe()
