"""``class_balance``: what a config says, and plans that are trained with it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import RUNNERS
from trained_plans import digests, train

from ff_mm.errors import ConfigError, LedgerError
from ff_mm.files import read_json
from ff_mm.fission.class_balance import Loss, Sampling, read_class_balance
from ff_mm.fission.ledger import comparable
from ff_mm.fission.trial import Trial, trial_config
from ff_mm.fusion.decision import SoupDecision

SHORT = dict(
    plan__lrs=[1e-2],
    plan__probe__epochs=1,
    plan__base=dict(epochs=2, averages=[dict(type='ema')]),
    plan__fission=dict(epochs=1, cycle=2, phase=0, max_lr=5e-3, min_lr=1e-5),
    custom_hooks=[dict(type='Interrupt')],
)
BASE = 'base_lr0.01'


@pytest.mark.parametrize(
    ('value', 'expected', 'name'),
    [
        (None, None, None),
        ({}, None, None),
        ('sampling', Sampling(), 'sampling'),
        ('loss', Loss(), 'loss'),
        (dict(type='loss', tau=0.5), Loss(0.5), 'loss, tau 0.5'),
        (dict(type='sampling', power=0.5), Sampling(0.5), 'sampling, power 0.5'),
    ],
    ids=str,
)
def test_what_a_config_says(value, expected, name):
    found = read_class_balance(value)
    assert found == expected and getattr(found, 'name', None) == name


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('focal', "class_balance='focal': expected None, 'sampling', 'loss'"),
        (True, 'class_balance=True: expected None'),
        (dict(tau=1), 'expected None'),
        (dict(type='loss', power=1), "class_balance: unknown key 'power'"),
        (dict(type='loss', tau=0), 'tau=0: expected a number above 0'),
        (dict(type='sampling', power='1'), "power='1': expected a number"),
    ],
    ids=str,
)
def test_what_is_none_is_one_line(generation_config, tmp_path, value, message):
    with pytest.raises(ConfigError, match=message) as error:
        RUNNERS.build(generation_config(tmp_path, class_balance=value))
    assert '\n' not in str(error.value)


def test_another_sampler_is_not_thrown_away(generation_config, tmp_path):
    cfg = generation_config(tmp_path, class_balance='sampling')
    cfg.train_dataloader.sampler = dict(type='RepeatAugSampler')
    with pytest.raises(
        ConfigError, match=r"'probe': class_balance.* is 'RepeatAugSampler'"
    ):
        train(cfg)


def test_off_it_is_as_good_as_absent_and_on_it_is_another_plan(generation_config):
    cfg = generation_config('x').to_dict()
    assert cfg['class_balance'] == {}
    assert 'class_balance' not in comparable(cfg)
    assert comparable(dict(cfg, class_balance='loss'))['class_balance'] == 'loss'
    trial = Trial(id='t', stage='base', epochs=1, hyper={}, overrides={})
    plain = trial_config(generation_config('x'), trial, 'x')
    assert 'class_balance' not in plain
    assert plain.train_dataloader.sampler.type == 'DefaultSampler'


@pytest.mark.parametrize('balance', ['sampling', 'loss'])
def test_a_plan_that_is_interrupted_ends_bit_for_bit_and_says_how_it_was_trained(
    tmp_path, generation_config, interrupt, balance
):
    options = dict(SHORT, class_balance=balance)
    manifest = train(generation_config(tmp_path / 'whole', **options))
    hypers = {each['name']: each['hyper'] for each in manifest['ingredients']}
    assert list(hypers) == [BASE, f'{BASE}_ema', 'fission_lr0.01_cycle1']
    assert {hyper['class_balance'] for hyper in hypers.values()} == {balance}
    file = tmp_path / 'whole' / 'ingredients' / 'fission_lr0.01_cycle1.pth'
    content = torch.load(file, weights_only=True)
    assert content['meta']['ingredient']['hyper']['class_balance'] == balance

    interrupt.moment = (BASE, 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(generation_config(tmp_path / 'broken', **options))
    train(generation_config(tmp_path / 'broken', **options))
    assert digests(tmp_path / 'broken') == digests(tmp_path / 'whole')
    with pytest.raises(LedgerError, match=f'class_balance: "?{balance}'):
        train(generation_config(tmp_path / 'broken', **SHORT))
    ledger = read_json(tmp_path / 'whole' / 'ledger.json')
    assert ledger['config']['class_balance'] == balance


def pool(*balances):
    hypers = [{} if b is None else dict(class_balance=b) for b in balances]
    entries = [SimpleNamespace(name=f'm{i}', hyper=h) for i, h in enumerate(hypers)]
    return SimpleNamespace(entries=entries)


def decision(value):
    selection = dict(metric='macro_recall', rule='greater')
    cfg = SimpleNamespace(selection=selection, get=lambda key: True)
    return SoupDecision.read(value, cfg)


FITTED, GIVEN = 'prior', dict(type='prior', tau=0.5)
OWN = dict(type='prior', tau=0.5, frequencies=[1, 2])


def test_a_prior_correction_that_would_be_the_second_is_refused_or_said():
    notes = []
    with pytest.raises(ConfigError, match=r"m1 was trained with class_balance='loss'"):
        decision(['temperature', GIVEN]).check_balance(pool(None, 'loss'), notes.append)
    assert not notes
    decision(FITTED).check_balance(pool('sampling'), notes.append)
    assert (
        len(notes) == 1 and "m0 was trained with class_balance='sampling'" in notes[0]
    )


@pytest.mark.parametrize(
    ('value', 'balance'), [(GIVEN, None), (OWN, 'loss'), ('temperature', 'loss')]
)
def test_of_other_decisions_and_pools_there_is_nothing_to_say(value, balance):
    notes = []
    decision(value).check_balance(pool(balance), notes.append)
    assert not notes
