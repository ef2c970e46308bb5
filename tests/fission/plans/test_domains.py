"""Plans whose training data are in parts, such as hospitals."""

from __future__ import annotations

import pytest
from mmengine.registry import RUNNERS

from ff_mm.datasets import DatasetError
from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm.fission import FGGPlan
from ff_mm.merging.pool import read_pool

FIRST = {'train_dataloader.dataset.indices': list(range(20))}
SECOND = {
    'train_dataloader.dataset.indices': list(range(20, 40)),
    'val_dataloader.dataset.indices': list(range(10)),
}
OPTIONS = dict(
    plan__lrs=[1e-2],
    plan__probe__epochs=1,
    plan__base=dict(epochs=1),
    plan__fission=dict(epochs=1),
)


def test_each_part_has_a_base_and_a_fission_of_its_own():
    domains = dict(north={'a': 1}, south={'a': 2})
    trials = FGGPlan([1e-3], domains=domains).trials()
    assert [t.id for t in trials] == [
        'probe',
        'base_lr0.001_north',
        'base_lr0.001_south',
        'fission_lr0.001_north',
        'fission_lr0.001_south',
    ]
    assert [t.overrides.get('a') for t in trials] == [None, 1, 2, 1, 2]
    assert trials[1].hyper == dict(lr=1e-3, seed=0, domain='north')
    assert trials[3].parent == 'base_lr0.001_north'


def test_parts_are_trained_and_their_own_validation_is_told_apart(
    tmp_path, generation_config, capsys
):
    cfg = generation_config(tmp_path, **OPTIONS)
    cfg.plan.domains = dict(first=FIRST, second=SECOND)
    manifest = RUNNERS.build(cfg).train()
    assert 'base_lr0.01_first: train: 20 images' in capsys.readouterr().out
    first, second, *_ = manifest['ingredients']
    assert first['hyper']['domain'] == 'first' and first['metrics']['loss'] > 0
    assert second['metrics'] == {} and second['own_metrics']['loss'] > 0
    done = {e['id']: e for e in read_json(tmp_path / 'ledger.json')['trials']}
    assert [done[f'base_lr0.01_{n}']['images'] for n in ('first', 'second')] == [20, 20]
    # Fusion evaluates it anew.
    first, second, *_ = read_pool(str(tmp_path / 'ingredients.json')).entries
    scores = [e.ingredient('loss', first.validation).score for e in (first, second)]
    assert scores[0] is not None and scores[1] is None


def test_what_is_wrong_with_a_part_is_said_before_training(tmp_path, generation_config):
    cfg = generation_config(tmp_path, **OPTIONS)
    cfg.plan.domains = dict(x={'train_dataloader.dataset.indices': []})
    with pytest.raises(DatasetError, match='train'):
        RUNNERS.build(cfg).train()
    assert not (tmp_path / 'trials').exists()


@pytest.mark.parametrize(
    ('domains', 'words'),
    [
        ({}, 'plan.domains={}: expected config overrides by name'),
        (['north'], 'expected config overrides by name'),
        ({'a/b': {'x': 1}}, "'a/b': a name has letters"),
        ({'a': {}}, 'plan.domains.a={}: expected config overrides'),
    ],
)
def test_mistakes(domains, words):
    with pytest.raises(ConfigError, match=words):
        FGGPlan([1e-3], domains=domains)
