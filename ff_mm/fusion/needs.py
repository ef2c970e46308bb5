"""What a soup asks of the task of its config, said before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config

from ff_mm.merging import Level
from ff_mm.tasks import task_of

# Soups that are made of what models say of each case.
_OF_PREDICTIONS = ('ensemble_selection', 'learned')


def require_scores_for(
    cfg: Config, levels: Iterable[Level], options: Mapping[str, Any]
) -> None:
    """Refuses soups that are made of probabilities, of models that give none.

    Args:
        cfg: The config, resolved.
        levels: Those of the soup.
        options: What the config says under ``soup``.

    Raises:
        ConfigError: What asks for them, and what does not.
    """
    task = task_of(cfg)
    for level in levels:
        if level.which.type in _OF_PREDICTIONS:
            task.require_scores(f'soup={level.which.type!r}')
        if level.has_margin:
            task.require_scores('soup.accept')
        for need in level.how.method.needs:
            if need != 'origin':  # statistics of outputs
                task.require_scores(f'soup.merge={level.how.type!r}')
    if options.get('decision'):
        task.require_scores('soup.decision')
