"""What tests of analyses share: how they run, and what they left."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json
from ff_mm.merging import read_state_dict


def run(cfg: Config):
    return RUNNERS.build(cfg).run()


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def pool_folder(cfg: Config) -> Path:
    return Path(cfg.ingredients).parent


def manifest(cfg: Config) -> dict[str, dict]:
    """Entries of the pool by name."""
    return {i['name']: i for i in read_json(cfg.ingredients)['ingredients']}


def weights_of(cfg: Config, name: str):
    return read_state_dict(pool_folder(cfg) / manifest(cfg)[name]['file'])


@contextmanager
def evaluator_of(cfg: Config) -> Iterator[ModelEvaluator]:
    evaluator = ModelEvaluator(cfg)
    yield evaluator
    evaluator.close()
