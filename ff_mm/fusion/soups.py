"""The soups that configs name by their runners; each is a choice of levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.fusion.soup_runner import SoupRunner
from ff_mm.merging import Level, bou, gog, gou
from ff_mm.merging.merge import Merge
from ff_mm.merging.soups.choice import option_names


@RUNNERS.register_module()
class HierarchicalSoupRunner(SoupRunner):
    """Hierarchical souping with any levels.

    ``merge`` of the soup is that of the levels that say none of their own.

    Levels go from the bottom to the top, each with a soup, a key of
    :data:`ff_mm.merging.soups.SOUPS` (such as ``'greedy'``), the key or keys that the
    members of a group have in common, and how they are merged, a key of
    :data:`ff_mm.merging.methods.METHODS` (``'mean'``) or a dict with that as ``type``
    and its options; the last leaves one model. More than two levels go beyond the
    paper.

    Examples:
        >>> soup = dict(levels=[
        ...     dict(soup='greedy', group_by=['lr', 'seed']),
        ...     dict(soup='uniform', group_by='lr'),
        ...     dict(soup='greedy')])
    """

    method = 'hierarchical'
    title = 'hierarchical'
    soup_keys = ('levels', 'basins', 'merge')

    def build_levels(self) -> list[Level]:
        """Returns the levels that the config lists."""
        levels = self.options.get('levels')
        if not levels:
            raise ConfigError(
                "soup.levels is missing, such as [dict(soup='greedy', group_by='lr'), "
                "dict(soup='greedy')]"
            )
        return read_levels(levels, self.options.get('merge'))


def read_levels(levels: Any, merge: Any) -> list[Level]:
    """Reads a config's ``soup.levels``.

    Args:
        levels: The option.
        merge: That of the levels that say none of their own.

    Raises:
        ConfigError: A level that is none.
    """
    merge = Merge.read(merge)
    try:
        return [Level(**dict(dict(merge=merge), **level)) for level in levels]
    except TypeError as error:
        raise ConfigError(
            'soup.levels: each level is dict(soup=..., group_by=..., merge=...), '
            f'got {levels}'
        ) from error


class _TwoLevelRunner(SoupRunner):
    soup_keys: tuple[str, ...] = ('group_by', 'basins', 'merge', 'accept')
    default_group = 'lr'

    @property
    def group_by(self) -> str | Sequence[str]:
        return self.options.get('group_by', self.default_group)


@RUNNERS.register_module()
class GoGSoupRunner(_TwoLevelRunner):
    """GoG, greedy of greedy: ``soup=dict(group_by='lr', merge='mean')`` (3.2).

    ``accept=0.9`` is a margin for the greedy soup at the top.
    """

    method = 'gog'
    title = 'GoG'

    def build_levels(self) -> list[Level]:
        """Returns greedy soups of the groups, and a greedy soup of those."""
        merge, accept = self.options.get('merge'), self.options.get('accept')
        return gog(self.group_by, merge, accept)


@RUNNERS.register_module()
class GoUSoupRunner(_TwoLevelRunner):
    """GoU, greedy of uniform: ``soup=dict(group_by='lr', merge='mean')`` (3.2).

    ``accept=0.9`` is a margin for the greedy soup at the top.
    """

    method = 'gou'
    title = 'GoU'

    def build_levels(self) -> list[Level]:
        """Returns uniform soups of the groups, and a greedy soup of those."""
        merge, accept = self.options.get('merge'), self.options.get('accept')
        return gou(self.group_by, merge, accept)


@RUNNERS.register_module()
class BoUSoupRunner(_TwoLevelRunner):
    """BoU, best of uniform: ``soup=dict(group_by='run', merge='mean')``.

    What is alike is averaged first, without choosing: a base and the snapshots of its
    own run. So validation, which is small, has but a few candidates to choose from. It
    goes beyond the paper.
    """

    method = 'bou'
    title = 'BoU'
    default_group = 'run'
    soup_keys = ('group_by', 'basins', 'merge')

    def build_levels(self) -> list[Level]:
        """Returns uniform soups of the groups, and the best of those."""
        return bou(self.group_by, self.options.get('merge'))


class _OneLevelRunner(SoupRunner):
    """A soup of all ingredients; its options stand beside ``merge``."""

    soup_keys: tuple[str, ...] = ('merge',)

    def build_levels(self) -> list[Level]:
        """Returns a single level."""
        names = option_names(self.method)
        given = {name: self.options[name] for name in names if name in self.options}
        soup = dict(type=self.method, **given)
        return [Level(soup, None, self.options.get('merge'))]


@RUNNERS.register_module()
class GreedySoupRunner(_OneLevelRunner):
    """The greedy soup of all ingredients (Wortsman et al. 2022).

    With a margin, ``accept=0.9``, see
    :class:`ff_mm.merging.soups.margin.MarginOptions`.
    """

    method = 'greedy'
    title = 'greedy'
    soup_keys = ('merge', *option_names(method))


@RUNNERS.register_module()
class UniformSoupRunner(_OneLevelRunner):
    """The uniform soup of all ingredients (Wortsman et al. 2022)."""

    method = 'uniform'
    title = 'uniform'


@RUNNERS.register_module()
class BestIngredientRunner(_OneLevelRunner):
    """The best single ingredient, to compare soups with.

    There is nothing to merge; ``merge`` may be said for several soups of one command.
    """

    method = 'best'
    title = 'best single'

    def build_levels(self) -> list[Level]:
        """Returns a level that takes the best."""
        Merge.read(self.options.get('merge'))  # says what is wrong with it
        return [Level('best')]


@RUNNERS.register_module()
class PrunedSoupRunner(_OneLevelRunner):
    """The pruned soup: starts with all ingredients, and drops what hurts.

    With a margin, ``accept=0.9``, as of the greedy soup.
    """

    method = 'pruned'
    title = 'pruned'
    soup_keys = ('merge', *option_names(method))


@RUNNERS.register_module()
class EnsembleSelectionRunner(_OneLevelRunner):
    """A soup by ensemble selection (Caruana et al. 2004).

    Options are those of
    :class:`ff_mm.merging.soups.ensemble_selection.EnsembleSelectionOptions`:
    ``soup=dict(rounds=50, sorted_start=5, average='probabilities')``.
    """

    method = 'ensemble_selection'
    title = 'ensemble selection'
    soup_keys = ('merge', *option_names(method))


@RUNNERS.register_module()
class LearnedSoupRunner(_OneLevelRunner):
    """The learned soup (Wortsman et al. 2022, appendix I).

    Options are those of :class:`ff_mm.merging.soups.learned.LearnedOptions`, such as
    ``soup=dict(steps=100, lr=0.05)``.
    """

    method = 'learned'
    title = 'learned'
    soup_keys = ('merge', *option_names(method))
