"""FedSoup: what clients pool, by hand; and its rounds, on real runs."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import HOOKS, RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.files import read_json
from ff_mm.fission import FedSoupPlan
from ff_mm.fission.fedsoup_hook import FedSoupHook
from ff_mm.fission.starts import start_from
from ff_mm.merging.state_dict import (
    read_checkpoint,
    read_state_dict,
    write_checkpoint,
)

CLIENTS = dict(
    north={
        'train_dataloader.dataset.indices': list(range(30)),
        'val_dataloader.dataset.indices': list(range(20)),
    },
    south={
        'train_dataloader.dataset.indices': list(range(30, 40)),
        'val_dataloader.dataset.indices': list(range(20, 40)),
    },
)
PLAN = dict(
    type='FedSoupPlan',
    clients=CLIENTS,
    lr=1e-2,
    rounds=3,
    begin=0.34,
    probe=dict(epochs=1),
)


class Client:
    """A run of one number, whose validation says how good each value is."""

    def __init__(self, tmp_path, local, start, scores, previous=None):
        self.model = torch.nn.Module()
        self.model.w = torch.nn.Parameter(torch.tensor(float(local)))
        write_checkpoint(
            {'state_dict': {'w': torch.tensor(float(start))}}, tmp_path / 'start.pth'
        )
        self.hook = FedSoupHook('accuracy', 'greater', True, previous)
        self.runner = SimpleNamespace(model=self.model, work_dir=tmp_path)
        self.validation = SimpleNamespace(
            evaluate=lambda model: dict(accuracy=scores[round(model.w.item(), 3)])
        )

    def pool(self, mean, count):
        self.hook._pool.add({'w': torch.tensor(float(mean))}, count=count)
        return self

    def patch(self):
        metrics = self.hook._patch(self.runner, self.validation)
        pool = self.hook._pool
        mean = pool.values['w'].item() if pool.values else None
        return self.model.w.item(), metrics['accuracy'], mean, pool.count


def test_a_global_model_that_helps_joins_the_pool(tmp_path):
    # l = 4, one pooled model 2, G = 0: A = 3, B = 2.
    client = Client(tmp_path, 4, 0, {3: 0.5, 2: 0.6}).pool(2, 1)
    assert client.patch() == (2, 0.6, 1, 2)


@pytest.mark.parametrize('score', [0.5, 0.4, float('nan')])
def test_one_that_does_not_or_ties_stays_out(tmp_path, score):
    client = Client(tmp_path, 4, 0, {3: 0.5, 2: score}).pool(2, 1)
    assert client.patch() == (3, 0.5, 2, 1)


def test_with_an_empty_pool_a_is_the_local_model(tmp_path):
    assert Client(tmp_path, 4, 0, {4: 0.5, 2: 0.4}).patch() == (4, 0.5, None, 0)
    assert Client(tmp_path, 4, 0, {4: 0.5, 2: 0.6}).patch() == (2, 0.6, 0, 1)


def test_the_server_weighs_clients_by_their_images_and_leaves_their_statistics(
    tmp_path,
):
    files = {}
    for name, value, images in (('a', 1.0, 300), ('b', 5.0, 100)):
        weights = {'w': torch.tensor(value), 'bn.running_mean': torch.tensor(value)}
        files[name] = tmp_path / f'{name}.pth'
        content = dict(meta=dict(images=images), state_dict=weights)
        write_checkpoint(content, files[name])
    start = start_from(dict(type='federated'), files)
    assert start['w'] == 2 and start['bn.running_mean'] == 1


def test_every_client_starts_from_all_of_the_last_round():
    trials = {t.id: t for t in FedSoupPlan(CLIENTS, rounds=4).trials()}
    assert list(trials)[:4] == ['probe', 'round1_north', 'round1_south', 'round2_north']
    assert trials['round1_south'].parents == ('probe',)
    assert trials['round2_south'].parents == ('round1_south', 'round1_north')
    assert trials['global'].parents == ('round4_north', 'round4_south')
    patched = [id for id, t in trials.items() if any(h.get('patch') for h in t.hooks)]
    assert patched == ['round4_north', 'round4_south']  # from three quarters on
    assert [id for id, t in trials.items() if t.yields == 'best'] == patched


def test_clients_may_go_on_alone_after_the_last_round(generation_config, tmp_path):
    plan = FedSoupPlan(CLIENTS, rounds=2, fine_tuning=1)
    trials = {t.id: t for t in plan.trials()}
    assert trials['fine_tuned_south'].parents == ('round2_south',)
    yielding = [id for id, t in trials.items() if t.yields == 'best']
    assert yielding == ['fine_tuned_north', 'fine_tuned_south']
    cfg = generation_config(tmp_path)
    cfg.plan = dict(copy.deepcopy(PLAN), rounds=2, begin=0.5, fine_tuning=1)
    RUNNERS.build(cfg).train()
    files = [i['name'] for i in read_json(tmp_path / 'ingredients.json')['ingredients']]
    assert sorted(files) == ['fedsoup_global', 'fine_tuned_north', 'fine_tuned_south']
    own = read_state_dict(tmp_path / 'ingredients/fine_tuned_north.pth')
    before = read_state_dict(tmp_path / 'trials/round2_north/best.pth')
    assert any((own[key] != before[key]).any() for key in own)


def train(generation_config, work_dir):
    cfg = generation_config(work_dir, custom_hooks=[dict(type='Interrupt')])
    cfg.plan = copy.deepcopy(PLAN)
    return RUNNERS.build(cfg).train()


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, generation_config):
    work_dir = tmp_path_factory.mktemp('fedsoup')
    return work_dir, train(generation_config, work_dir)


def test_the_ingredients_are_the_clients_models_and_their_mean(unbroken):
    work_dir, manifest = unbroken
    found = {entry['name']: entry for entry in manifest['ingredients']}
    assert list(found) == ['round3_north', 'round3_south', 'fedsoup_global']
    assert found['round3_north']['metrics'] == {}  # of its own validation
    assert found['round3_north']['own_metrics']['accuracy'] >= 0
    assert found['fedsoup_global']['metrics']['accuracy'] >= 0
    north, south, server = (
        read_state_dict(work_dir / e['file']) for e in found.values()
    )
    key = 'head.fc.weight'
    mean = (north[key].double() * 30 + south[key].double() * 10) / 40
    assert torch.allclose(server[key].double(), mean, atol=1e-7)
    variance = next(key for key in server if key.endswith('running_var'))
    assert not torch.equal(server[variance], north[variance])  # re-estimated
    assert manifest['cost']['epochs'] == 1 + 2 * 3
    images = {
        e['id']: e['images'] for e in read_json(work_dir / 'ledger.json')['trials']
    }
    assert (images['round2_north'], images['round2_south'], images['global']) == (
        30,
        10,
        0,
    )
    file = read_checkpoint(work_dir / 'trials' / 'round3_north' / 'best.pth')
    assert file['meta']['images'] == 30


def test_an_interrupted_plan_yields_the_same_files(
    unbroken, tmp_path, generation_config
):
    _, manifest = unbroken
    HOOKS.get('Interrupt').moment = ('round3_south', 1, 'validated')
    with pytest.raises(KeyboardInterrupt):
        train(generation_config, tmp_path)
    again = train(generation_config, tmp_path)
    digests = [entry['sha256'] for entry in manifest['ingredients']]
    assert [entry['sha256'] for entry in again['ingredients']] == digests


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(clients=dict(north=CLIENTS['north'])), 'two clients'),
        (
            dict(clients=dict(CLIENTS, west={'train_dataloader.dataset.indices': 3})),
            'plan.clients.west: no override of val_dataloader',
        ),
        (dict(clients=None), 'plan.clients=None: expected config overrides by name'),
        (dict(clients={'a/b': {'x': 1}, 'c': {'x': 1}}), "plan.clients: 'a/b'"),
        (dict(rounds=1), 'plan.rounds=1'),
        (dict(begin=0), 'plan.begin=0'),
        (dict(rule='more'), "plan.rule='more'"),
        (dict(probe=None), 'plan.probe=None'),
        (dict(lr='1e-3'), "plan.lrs?='1e-3'"),
    ],
)
def test_mistakes(change, words):
    with pytest.raises(ConfigError, match=words):
        FedSoupPlan(**dict(clients=CLIENTS) | change)
