"""What a soup is made of, as a tree with metrics at every node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.analysis.pool_analysis import PoolAnalysis
from ff_mm.analysis.soup_tree.tree import SoupTree, TreeNode
from ff_mm.analysis.soup_tree.tree_plot import tree_plot
from ff_mm.analysis.soup_tree.tree_reading import read_soup_tree
from ff_mm.analysis.soup_tree.tree_text import (
    print_soup_tree,
    write_nodes,
    write_soup_tree,
)
from ff_mm.config import check_names
from ff_mm.display.figures import save_figure
from ff_mm.errors import ConfigError
from ff_mm.evaluation.batch_norm_reestimation import (
    DEFAULT_SAMPLES,
    Which,
    of_candidates,
)
from ff_mm.fusion.session import FusionSession
from ff_mm.fusion.statistics import SoupStatistics
from ff_mm.merging import Candidate, Soup
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm_commands.table import typed

# Of a metric that was computed once more from the same weights.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SoupTreeOptions:
    """The values of a config's ``soup_tree``.

    Attributes:
        splits: Sets on which each ingredient and each soup is evaluated on its own,
            those that were left out too: ``'val'``, ``'test'``, ``'ood/<name>'``.
            None: nothing is evaluated; the report has what selected, on validation.
        metrics: Which metrics of theirs; None: what selected, and the loss.
    """

    splits: Sequence[str] | None = None
    metrics: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for key in ('splits', 'metrics'):
            check_names(f'soup_tree.{key}', getattr(self, key))
        if self.metrics and not self.splits:
            raise ConfigError(
                f'soup_tree.metrics={list(self.metrics)}: say by soup_tree.splits, as '
                "['val', 'test'], where they are to be computed"
            )


@RUNNERS.register_module()
class SoupTreeRunner(PoolAnalysis[SoupTreeOptions]):
    """Draws what the soup of a config is made of, from its ``report.json``.

    Without ``soup_tree.splits`` it needs the report alone, neither data nor
    ingredients nor a network. With them, each ingredient and soup in the tree is one
    evaluation a set, equal ones together; those that the soup needed are known.

    Leaves ``soup_tree.txt``, ``nodes.csv`` and ``soup_tree.png`` and ``.svg`` in
    ``<work_dir>/soup_tree/``, and a figure more for each other set and metric:
    ``soup_tree_<set>_<metric>.png``.

    Args:
        cfg: A fusion config, references not yet resolved.

    Raises:
        ConfigError: A key that is missing or unknown, or a set that there is not.
        FFMMError: There is no report, or none that can be read.
    """

    name = 'soup_tree'
    options_type = SoupTreeOptions

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.tree  # noqa: B018 (what cannot be read is said now)

    @cached_property
    def tree(self) -> SoupTree:
        """What the report says."""
        return read_soup_tree(self.work_dir / 'report.json', _soup_command(self.cfg))

    def batch_norm_option(self) -> Any:
        """Returns how the soup's batch norm was re-estimated, where that had to be."""
        nodes = [node for _, node in self.tree.nodes()] if self.splits() else []
        given = self._soup_option
        must = any(node.merge.needs_batch_norm for node in nodes)
        if not nodes or not (must or of_candidates(given)):
            return None
        default = dict(num_samples=DEFAULT_SAMPLES)
        # Without images a network without batch norm will do.
        return given or (default if self.cfg.get('train_dataloader') else None)

    @property
    def reestimated(self) -> Which:
        """Of which nodes batch norm is re-estimated: of those of which it was."""
        return 'merged' if of_candidates(self._soup_option) else 'needed'

    @property
    def _soup_option(self) -> Any:
        return (self.cfg.get('soup') or {}).get('bn_reestimation')

    def splits(self) -> Sequence[str]:
        """Returns the sets that are evaluated; without any, no data is read at all."""
        return self.options.splits or ()

    def needs_training_data(self) -> bool:
        """Returns whether batch norm, or how members were merged, asks for it."""
        return super().needs_training_data() or bool(self.statistics.names)

    @cached_property
    def statistics(self) -> SoupStatistics:
        """The statistics by which members were merged, if they were so."""
        nodes = [node for _, node in self.tree.nodes()] if self.splits() else []
        return SoupStatistics(self.cfg, [node.merge for node in nodes])

    def analyse(self) -> SoupTree:
        """Evaluates the nodes if asked to, and lets the first process write."""
        tree = self._evaluated() if self.splits() else self.tree
        if self.is_first:
            self._write(tree)
        return tree

    def _prepare(self, session: FusionSession) -> None:
        if self.splits():
            super()._prepare(session)

    def _evaluated(self) -> SoupTree:
        """The tree with the metrics of all nodes on all sets that were asked for."""
        metrics = self.metrics(self.options.metrics)
        nodes = [node for _, node in self.tree.nodes()]
        absent = sorted(
            {n for node in nodes for n in node.recipe} - {*self.ingredients}
        )
        if absent:
            raise ConfigError(
                f'{self.work_dir}/report.json: {absent[0]!r} is not in the pool of '
                f'{self.cfg.ingredients}; make the soup again: '
                f'{_soup_command(self.cfg)}'
            )
        self.statistics.start(self.session, self.points, self.work_dir, self.console)
        models = [self._model(node) for node in nodes]
        for model in reversed(models):  # members before what is made of them
            if isinstance(model, Soup):
                model.merge.prepare(model.members)
        points = [Candidate(m.name, m.recipe, m.load) for m in models]
        results = {
            split: self.points.evaluate(points, split, f'nodes on {split}', metrics)
            for split in self.splits()
        }
        self._compare(results.get('val'))
        return self.tree.with_metrics(results, metrics)

    def _model(self, node: TreeNode) -> AnyIngredient:
        """The soup or ingredient of a node, as it was made."""
        if node.method is None:
            return self.ingredients[node.name]
        supplies = self.session.supplies(self.pool) | self.statistics.supplies
        return Soup(
            node.name,
            node.method,
            tuple(map(self._model, node.members)),
            merge=node.merge.supplied(supplies),
            weights=node.weights,
        )

    def _compare(self, found: Sequence[Mapping[str, Any]] | None) -> None:
        """Says if validation gives other values than the report has."""
        if found is None:
            return
        metric = self.tree.metric
        for (_, node), metrics in zip(self.tree.nodes(), found, strict=True):
            then, now = node.value(metric), metrics.get(metric)
            if then is None or now is None:
                continue
            if not abs(then - now) <= _TOLERANCE:
                self.line(
                    f'note: {metric} of {node.name!r} is {now:.4f} on validation, '
                    f'{then:.4f} in the report; was it made of other ingredients or '
                    f'data? {_soup_command(self.cfg)} makes it again'
                )
                return

    def _write(self, tree: SoupTree) -> None:
        print_soup_tree(tree, self.console)
        write_soup_tree(tree, self.folder / 'soup_tree.txt')
        write_nodes(tree, self.folder / 'nodes.csv')
        files = [self.folder / 'soup_tree.txt', self.folder / 'nodes.csv']
        for split, metric in tree.columns():
            figure = tree_plot(tree, metric, split, self._rule_of(metric))
            files += save_figure(figure, self.folder / _stem(tree, split, metric))
        for file in files:
            self.line(str(file))

    def _rule_of(self, metric: str) -> str:
        return self.tree.rule if metric == self.tree.metric else self.rule(metric)


def _stem(tree: SoupTree, split: str, metric: str) -> str:
    """The name of a figure, that of the one that is always there the shortest."""
    if (split, metric) == ('val', tree.metric):
        return 'soup_tree'
    return f'soup_tree_{split}_{metric}'.replace('/', '_')


def _soup_command(cfg: Config) -> str:
    """The command that makes the soup of a config; the tool knows all of it."""
    return cfg.get('soup_command') or f'{typed("soup")} {cfg.filename}'
