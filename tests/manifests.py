"""Manifests as fission leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ff_mm.engine.ingredient_file import write_ingredient
from ff_mm.merging.manifest import Validation

# On what the metrics of these manifests were taken.
VALIDATION = Validation('f00')


def ingredient(path: Path, value: float = 0, **description: Any) -> dict[str, Any]:
    """Writes an ingredient, all of whose weights have one value; its entry."""
    described = dict(stage='base', hyper=dict(lr=1e-3), cycle=None) | description
    weights = dict(weight=torch.full((2,), float(value)))
    metrics = dict(accuracy=value / 10, recall=[0.5, None])
    return write_ingredient(path, weights, described, metrics, {})


def write_manifest(folder: Path) -> tuple[Path, dict[str, Any]]:
    """ingredients.json of two ingredients, and what it says."""
    file, second = folder / 'ingredients', dict(stage='fission', cycle=3, parent='a')
    entries = [
        ingredient(file / 'a.pth', 1, name='a'),
        ingredient(file / 'b.pth', 2, name='b', **second),
    ]
    content = dict(
        format=1,
        complete=True,
        validation=dict(fingerprint='f00', size=2),
        ingredients=[dict(e, file=f'ingredients/{e["file"]}') for e in entries],
        cost=dict(trials=2, epochs=9, seconds=1.0),
    )
    path = folder / 'ingredients.json'
    path.write_text(json.dumps(content))
    return path, content
