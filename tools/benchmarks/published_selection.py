"""GoU and GoG as published, written down plainly; soup_selection.py compares with it.

All models are held in memory. Each evaluation builds the network, loads the weights
into it and reads the images from their files. Each model is evaluated on val and on
test; the local soups are treated as further models; the greedy loop evaluates the best
model, too, with which it begins.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from torch import Tensor

from ff_mm.cli import read_config
from ff_mm.config import resolve
from ff_mm.config_loaders import with_defaults
from ff_mm.tasks import task_of
from ff_mm_commands.options import add_common_options

Weights = dict[str, Tensor]


class Evaluations:
    """Evaluates weights on val and test, everything anew each time."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        self.passes = 0
        self.seconds: dict[str, list[float]] = {'val': [], 'test': []}

    def score(self, weights: Weights, split: str = 'val') -> float:
        """Returns the metric that selects."""
        start = time.perf_counter()
        cfg = self.cfg
        model = MODELS.build(
            dict(cfg.model, data_preprocessor=dict(cfg.data_preprocessor))
        )
        model.load_state_dict(weights)
        model.eval()
        config = with_defaults(cfg[f'{split}_dataloader'], task_of(cfg).collate)
        loader = Runner.build_dataloader(config)
        evaluator = Runner.build_evaluator(None, cfg.val_evaluator)
        evaluator.dataset_meta = loader.dataset.metainfo
        with torch.no_grad():
            for batch in loader:
                evaluator.process(model.val_step(batch), batch)
        metrics = evaluator.evaluate(len(loader.dataset))
        self.passes += 1
        self.seconds[split].append(time.perf_counter() - start)
        return metrics[cfg.selection.metric]


def mean(models: Sequence[Weights]) -> Weights:
    """The mean of weights; counters are those of the first."""
    return {
        key: torch.stack([model[key] for model in models]).mean(0)
        if value.is_floating_point()
        else value
        for key, value in models[0].items()
    }


def greedy(
    models: Mapping[str, Weights],
    scores: Mapping[str, float],
    score: Callable[[Weights], float],
) -> list[str]:
    """Names of the members of the greedy soup, in the order in which they are kept."""
    best = float('-inf')
    kept: list[str] = []
    for name in sorted(models, key=lambda name: -scores[name]):
        candidate = score(mean([models[n] for n in [*kept, name]]))
        if candidate > best:
            best, kept = candidate, [*kept, name]
    return kept


def recipe(groups: Sequence[Sequence[str]]) -> dict[str, float]:
    """Weight of each model in a soup of soups."""
    return {name: 1 / len(groups) / len(group) for group in groups for name in group}


def select(cfg: Config) -> dict[str, Any]:
    """Makes both soups.

    Args:
        cfg: A fusion config, resolved.

    Returns:
        The recipes, the scores on test, the passes and what each took.
    """
    manifest = Path(cfg.ingredients)
    entries = json.loads(manifest.read_text())['ingredients']
    models = {
        e['name']: torch.load(manifest.parent / e['file'], weights_only=True)[
            'state_dict'
        ]
        for e in entries
    }
    evaluations = Evaluations(cfg)
    score = evaluations.score
    scores = {name: score(model) for name, model in models.items()}
    for model in models.values():
        score(model, 'test')
    groups: dict[float, list[str]] = {}
    for entry in entries:
        groups.setdefault(entry['hyper']['lr'], []).append(entry['name'])

    def fuse(members: Mapping[str, list[str]]) -> dict[str, float]:
        """The greedy soup of the local soups; evaluates it on test."""
        local = {k: mean([models[n] for n in names]) for k, names in members.items()}
        local_scores = {key: score(weights) for key, weights in local.items()}
        kept = greedy(local, local_scores, score)
        score(mean([local[key] for key in kept]), 'test')
        return recipe([members[key] for key in kept])

    uniform = {str(lr): names for lr, names in groups.items()}
    best_of = {
        str(lr): greedy({n: models[n] for n in names}, scores, score)
        for lr, names in groups.items()
    }
    return dict(
        gou=fuse(uniform),
        gog=fuse(best_of),
        passes=evaluations.passes,
        seconds_of_a_pass=evaluations.seconds,
    )


def main() -> None:
    """Makes both soups and writes what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a fusion config')
    parser.add_argument('out', help='json file to write')
    add_common_options(parser)
    args = parser.parse_args()
    cfg = resolve(read_config(args, args.config))
    init_default_scope('mmpretrain')
    Path(args.out).write_text(json.dumps(select(cfg)))


if __name__ == '__main__':
    main()
