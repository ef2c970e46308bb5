"""Linear mode connectivity between the ingredients of a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmengine.registry import RUNNERS

from ff_mm.analysis.connectivity.result import Connectivity, MeasuredPath, barrier_table
from ff_mm.analysis.pairs import all_pairs, choose
from ff_mm.analysis.pool_analysis import PoolAnalysis
from ff_mm.config import check_names, read_options
from ff_mm.errors import ConfigError
from ff_mm.evaluation.paths import evaluate_paths
from ff_mm.fusion.basins import BasinOptions
from ff_mm.weight_space.connectivity import LINKAGES, lambdas


@dataclass(frozen=True)
class LMCOptions:
    """The values of a config's ``lmc``.

    Attributes:
        points: Where each path is evaluated, evenly, both ends included.
        split: ``'val'``, ``'test'`` or ``'ood/<name>'``.
        metrics: Names of metrics; None: the one that selects, and the loss.
        differ: What pairs differ in: ``'lr'``, ``'seed'``, ``'augmentation'``,
            ``'cycle'``, ``'base to snapshot'``, ``'lr + seed'``, ...; None: all pairs.
        at_most: Of each kind of difference, take a sample of so many pairs; None: all.
        seed: Of the sample.
        bn_reestimation: ``dict(num_samples=2048)``: batch-norm statistics of each
            point, the ends too, are those of training images; None: they are averaged
            like weights, as in soups.
        linkage: How groups are joined in the tree beside the matrix, see
            :func:`ff_mm.weight_space.connectivity.barrier_tree`.
    """

    points: int = 9
    split: str = 'val'
    metrics: Sequence[str] | None = None
    differ: Sequence[str] | None = None
    at_most: int | None = None
    seed: int = 0
    bn_reestimation: Mapping[str, int] | None = None
    linkage: str = 'complete'

    def __post_init__(self) -> None:
        lambdas(self.points)
        check_names('lmc.metrics', self.metrics)
        check_names('lmc.differ', self.differ)
        if self.at_most is not None and not (
            isinstance(self.at_most, int) and self.at_most >= 1
        ):
            raise ConfigError(f'lmc.at_most={self.at_most!r}: expected 1 or more')
        if self.linkage not in LINKAGES:
            raise ConfigError(
                f'lmc.linkage={self.linkage!r}: expected one of {list(LINKAGES)}'
            )


@RUNNERS.register_module()
class LMCRunner(PoolAnalysis[LMCOptions]):
    """Measures how much worse models get on the straight line between two of them.

    FissionFusion, appendix B1, has three pairs; here it is any pairs of any pool.

    Config key ``lmc``: see :class:`LMCOptions`. What is left in
    ``<work_dir>/lmc/<split>/``: see
    :class:`ff_mm.analysis.connectivity.result.Connectivity`.
    """

    name = 'lmc'
    options_type = LMCOptions

    def splits(self) -> Sequence[str]:
        """Returns the set that paths are evaluated on."""
        return ('val', self.options.split)

    def analyse(self) -> Connectivity:
        """Evaluates the paths, and writes what came out."""
        options, thresholds = self.options, self._thresholds()
        hypers = {entry.name: entry.hyper for entry in self.pool.entries}
        pairs = all_pairs(hypers)
        if not pairs:
            raise ConfigError('lmc: a path takes two ingredients, the pool has one')
        chosen = choose(pairs, options.differ, options.at_most, options.seed)
        metrics = self.metrics(options.metrics)
        between = options.points - 2
        self.line(
            f'lmc: {len(chosen)} of {len(pairs)} pairs, {between} points between the '
            f'ends of each: {between * len(chosen)} passes at most, and the ends'
        )
        names = [(pair.a, pair.b) for pair in chosen]
        paths = evaluate_paths(
            self.points,
            self.ingredients,
            names,
            options.points,
            options.split,
            metrics,
        )
        found = Connectivity(
            hypers=hypers,
            paths=[
                MeasuredPath(pair, path)
                for pair, path in zip(chosen, paths, strict=True)
            ],
            rules={metric: self.rule(metric) for metric in metrics},
            split=options.split,
            linkage=options.linkage,
            thresholds=thresholds,
        )
        if self.is_first:
            for file in found.write(self.folder / options.split):
                self.line(str(file))
            barrier_table(found.by_difference(), self._title(), self.console)
        return found

    def _thresholds(self) -> dict[str, float]:
        """Where the config's soup tells basins apart, if it groups by them."""
        given = (self.cfg.get('soup') or {}).get('basins')
        if given is None:
            return {}
        basins = read_options(BasinOptions, given, 'soup.basins')
        if basins.linkage != self.options.linkage or self.options.split != 'val':
            return {}  # another tree than that which is cut
        metric = basins.barrier_metric(self.metric, self.setup.has_loss)
        return {} if basins.threshold is None else {metric: basins.threshold}

    def _title(self) -> str:
        how = ', batch norm re-estimated' if self.bn_samples else ''
        return f'loss barriers on {self.options.split}{how}'
