"""The smallest generation and a fusion of it, as files that the tools take."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def fgg(tmp_path, generation_config) -> Path:
    """A file with a generation config of two trials."""
    changes = dict(plan__lrs=[1e-2], plan__probe=None, plan__base__epochs=1)
    generation_config(tmp_path / 'fgg', **changes).dump(tmp_path / 'fgg.py')
    return tmp_path / 'fgg.py'


@pytest.fixture
def gog(tmp_path, generation_config) -> Path:
    """A file with a fusion config of that generation."""
    cfg = generation_config(tmp_path / 'gog', runner_type='GoGSoupRunner')
    cfg.pop('plan')
    cfg.ingredients = str(tmp_path / 'fgg' / 'ingredients.json')
    cfg.dump(tmp_path / 'gog.py')
    return tmp_path / 'gog.py'


@pytest.fixture
def plain(tmp_path, generation_config) -> Path:
    """A file with an ordinary mmpretrain config, of a run of one epoch."""
    cfg = generation_config(tmp_path / 'plain')
    for key in ('plan', 'runner_type', 'selection', 'ood_dataloaders'):
        cfg.pop(key)
    cfg.train_cfg.max_epochs = 1
    cfg.optim_wrapper.optimizer.lr = 1e-3
    # Twice that of the config.
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=16)
    cfg.dump(tmp_path / 'plain.py')
    return tmp_path / 'plain.py'
