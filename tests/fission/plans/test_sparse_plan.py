"""Sparse soups, on real runs."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.registry import HOOKS, RUNNERS
from toys import sparsity_of

from ff_mm.errors import ConfigError
from ff_mm.fission import SparseSoupPlan
from ff_mm.merging.sparse import mask_of, mean_of_sparse, prunable
from ff_mm.merging.state_dict import read_state_dict

PLAN = dict(
    type='SparseSoupPlan',
    lr=1e-2,
    sparsity=0.5,
    phases=2,
    seeds=[0, 1],
    probe=dict(epochs=1),
    base=dict(epochs=1),
    retrain=dict(epochs=1, weight_decays=[1e-2, 0.0]),
)
COPIES = [f'lr0.01_seed{seed}_wd{wd}' for seed in (0, 1) for wd in (0.01, 0.0)]


def train(generation_config, work_dir):
    cfg = generation_config(work_dir, custom_hooks=[dict(type='Interrupt')])
    cfg.plan = copy.deepcopy(PLAN)
    return RUNNERS.build(cfg).train()


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, generation_config):
    work_dir = tmp_path_factory.mktemp('sparse')
    return work_dir, train(generation_config, work_dir)


def test_each_copy_starts_from_all_of_the_last_phase():
    plan = {k: v for k, v in PLAN.items() if k != 'type'}
    trials = {t.id: t for t in SparseSoupPlan(**plan).trials()}
    first = [f'phase1_{copy}' for copy in COPIES]
    assert list(trials) == [
        'probe',
        'base_lr0.01',
        *first,
        *(f'phase2_{copy}' for copy in COPIES),
    ]
    assert {trials[name].parents for name in first} == {('base_lr0.01',)}
    last = [trial for id, trial in trials.items() if id.startswith('phase2')]
    assert {trial.parents for trial in last} == {tuple(first)}
    assert [t.yields for t in last] == ['best'] * 4
    assert trials['base_lr0.01'].yields == trials[first[0]].yields == 'nothing'


def test_the_last_copies_are_sparse_to_the_entry_and_so_is_their_soup(unbroken):
    work_dir, manifest = unbroken
    names = [entry['name'] for entry in manifest['ingredients']]
    assert names == [f'phase2_{copy}' for copy in COPIES]
    models = {n: read_state_dict(work_dir / 'ingredients' / f'{n}.pth') for n in names}
    total = sum(
        models[names[0]][key].numel() for key in prunable(models[names[0]], ['head.'])
    )
    soup = mean_of_sparse(models)  # refuses models of different masks
    for weights in [*models.values(), soup]:
        zeros = sum(int((~mask).sum()) for mask in mask_of(weights).values())
        assert zeros == int(0.5 * total + 1e-9)
    assert sparsity_of(soup) == pytest.approx(0.5, abs=0.05)  # the head is whole
    assert soup['head.fc.weight'].all()
    first, second = models[names[0]], models[names[2]]  # they differ in seed
    assert any(not torch.equal(first[key], second[key]) for key in prunable(soup))
    assert manifest['origin']['name'] == 'probe'


def test_an_interrupted_plan_yields_the_same_files(
    unbroken, tmp_path, generation_config
):
    _, manifest = unbroken
    HOOKS.get('Interrupt').moment = (f'phase2_{COPIES[0]}', 1, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(generation_config, tmp_path)
    again = train(generation_config, tmp_path)
    digests = [entry['sha256'] for entry in manifest['ingredients']]
    assert [entry['sha256'] for entry in again['ingredients']] == digests
    assert not list(tmp_path.rglob('start.pth'))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(sparsity=1.0), 'plan.sparsity=1.0: expected between 0 and 1'),
        (dict(phases=0), 'plan.phases=0'),
        (dict(augmentations=['a', 'b']), 'expected one'),
        (dict(retrain=dict(lrs=[0])), 'plan.retrain: lrs=0'),
        (dict(retrain=dict(lrs='1e-3')), "plan.retrain: lrs='1e-3'"),
    ],
)
def test_mistakes(change, words):
    with pytest.raises(ConfigError, match=words):
        SparseSoupPlan(1e-3, **change)
