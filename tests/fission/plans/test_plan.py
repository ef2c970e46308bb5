from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from ff_mm.engine.schedulers.cycle import Cycle
from ff_mm.errors import ConfigError
from ff_mm.fission import FGGPlan, GridSearchPlan, SparseSoupPlan, SWAPlan
from ff_mm.fission.plans.plan import FineTuningPlan
from ff_mm.fission.trial import PROBE

SCHEDULES = Path(__file__).parents[3] / 'configs' / '_base_' / 'schedules'
PLANS = {
    plan.__name__: plan for plan in (FGGPlan, GridSearchPlan, SWAPlan, SparseSoupPlan)
}
PUBLISHED = [1e-3, 5e-4, 1e-4, 5e-5, 1e-5, 5e-6, 1e-6, 1e-7]


def by_id(*args, **kwargs):
    return {trial.id: trial for trial in FGGPlan(*args, **kwargs).trials()}


def test_the_published_plan_has_its_trials_epochs_and_order():
    trials = FGGPlan(PUBLISHED).trials()
    names = ['0.001', '0.0005', '0.0001', '5e-05', '1e-05', '5e-06', '1e-06', '1e-07']
    assert [trial.id for trial in trials] == [
        'probe',
        *(f'base_lr{name}' for name in names),
        *(f'fission_lr{name}' for name in names),
    ]
    assert [t.epochs for t in trials] == [10] + [50] * 8 + [17] * 8
    assert [t.overrides['train_cfg.max_epochs'] for t in trials] == [
        t.epochs for t in trials
    ]
    assert {t.stage: t.yields for t in trials} == dict(
        probe='start', base='best', fission='snapshots'
    )


def test_the_shipped_schedule_is_the_published_plan():
    cfg = Config.fromfile(SCHEDULES / 'fgg.py')
    plan = dict(cfg.plan.to_dict())
    assert plan.pop('type') == 'FGGPlan'
    shipped = [trial.__dict__ for trial in FGGPlan(**plan).trials()]
    assert shipped == [trial.__dict__ for trial in FGGPlan(PUBLISHED).trials()]


def test_the_shipped_grid_search_is_the_published_one():
    plan = Config.fromfile(SCHEDULES / 'gs.py').plan.to_dict()
    assert plan.pop('type') == 'GridSearchPlan'
    probe, *models = GridSearchPlan(**plan).trials()
    assert (len(models), sum(trial.epochs for trial in models)) == (48, 2400)
    assert {trial.yields for trial in models} == {'best'}
    assert {trial.hyper['lr'] for trial in models} == set(PUBLISHED)
    assert len({(t.hyper['seed'], t.hyper['augmentation']) for t in models}) == 6
    assert len({trial.id for trial in models}) == 48
    assert probe.stage == 'probe'


def test_the_other_shipped_schedules_are_what_they_say():
    def trials(name):
        plan = Config.fromfile(SCHEDULES / f'{name}.py').plan.to_dict()
        return PLANS[plan.pop('type')](**plan).trials()

    swa = trials('swa')
    assert [t.stage for t in swa] == ['probe'] + ['base'] * 8 + ['swa'] * 8
    fge = {t.stage: t for t in trials('fge')}
    whole = fge['base'].epochs + fge['fission'].epochs
    assert fge['base'].epochs / whole == 0.8
    cycle = fge['fission'].overrides['param_scheduler'][0]
    # Garipov et al. 2018: the rate at a quarter of a cycle is halfway.
    values = [Cycle(5e-4, 5e-6, 4, cycle['phase']).value_at(i) for i in range(4)]
    assert values == pytest.approx([5e-4, 2.525e-4, 5e-6, 2.525e-4])
    sparse = [t.start['sparsity'] for t in trials('sparse') if t.start]
    assert sparse == pytest.approx(
        [0.535841] * 3 + [0.784557] * 3 + [0.9] * 3, abs=1e-6
    )
    diwa = trials('diwa')
    rates = {t.hyper['lr'] for t in diwa[1:]}
    assert len(diwa) == 21 and max(rates) / min(rates) == pytest.approx(5)
    assert all(dict(type='FrozenBatchNormHook') in t.hooks for t in diwa[1:])


def test_a_grid_search_holds_the_bases_of_the_generation_with_its_augmentation():
    points = dict(lrs=[1e-3, 1e-4], base=dict(epochs=3), probe=dict(epochs=2))
    generation = by_id(**points, augmentations=['heavy'])
    search = {
        trial.id: trial
        for trial in GridSearchPlan(
            **points, seeds=[0, 1], augmentations=['heavy', 'minimal']
        ).trials()
    }
    assert search['probe'] == generation['probe']
    for lr in ('0.001', '0.0001'):
        one = search[f'base_lr{lr}_seed0_heavy']
        assert replace(one, id=f'base_lr{lr}') == generation[f'base_lr{lr}']


@pytest.mark.parametrize('missing', ['seeds', 'augmentations'])
def test_a_grid_search_names_its_axes(missing):
    axes = dict(lrs=[1e-3], seeds=[0], augmentations=['heavy'])
    with pytest.raises(TypeError, match=missing):
        GridSearchPlan(**{key: v for key, v in axes.items() if key != missing})


@pytest.mark.parametrize('name', ['FGGPlan', 'GridSearchPlan', 'SWAPlan'])
def test_all_of_these_take_what_the_plain_plan_takes(name):
    axes = dict(lrs=[1e-3], seeds=[3], augmentations=['heavy'])
    shared = dict(probe=None, base=dict(epochs=4), domains=dict(north={'a': 1}))
    (plain,) = FineTuningPlan(**axes, **shared).trials()
    trials = PLANS[name](**axes, **shared).trials()
    assert trials[0] == plain and plain.overrides['a'] == 1
    with pytest.raises(TypeError, match='nosuch'):
        PLANS[name](**axes, nosuch=1)


def test_each_starts_from_its_own_and_only_fission_takes_the_optimizer():
    trials = by_id([1e-3, 1e-4])
    assert {t.id: t.parent for t in trials.values()} == {
        'probe': None,
        'base_lr0.001': 'probe',
        'base_lr0.0001': 'probe',
        'fission_lr0.001': 'base_lr0.001',
        'fission_lr0.0001': 'base_lr0.0001',
    }
    inherits = {t.stage for t in trials.values() if t.inherit_optimizer}
    assert inherits == {'fission'}


def test_learning_rates_and_schedules_are_those_of_the_stages():
    trials = by_id([1e-3, 1e-4])
    lr = 'optim_wrapper.optimizer.lr'
    assert trials['probe'].overrides[lr] == 1e-3
    assert trials['base_lr0.0001'].overrides[lr] == 1e-4
    (cosine,) = trials['base_lr0.0001'].overrides['param_scheduler']
    assert (cosine['type'], cosine['eta_min']) == ('CosineAnnealingLR', 0)
    for trial in (trials['fission_lr0.001'], trials['fission_lr0.0001']):
        (cycle,) = trial.overrides['param_scheduler']
        assert cycle == dict(
            type='CyclicalLR',
            max_value=1e-5,
            min_value=1e-8,
            cycle=4,
            phase=0.25,
            by_epoch=True,
            convert_to_iter_based=True,
        )


def test_ingredients_know_the_learning_rate_of_their_base():
    trial = by_id([1e-4])['fission_lr0.0001']
    assert trial.describe() == dict(
        stage='fission', hyper=dict(lr=1e-4, seed=0), parent='base_lr0.0001'
    )
    (hook,) = trial.hooks
    assert (hook['type'], hook['meta']) == ('SnapshotHook', trial.describe())


def test_the_published_early_stopping_and_how_to_leave_it_out():
    hooks = {h['type']: h for h in by_id([1e-4])['base_lr0.0001'].hooks}
    assert hooks['BestCheckpointHook']['monitor'] == 'loss'
    stop = hooks['ResumableEarlyStoppingHook']
    assert (stop['patience'], stop['min_delta'], stop['rule']) == (8, 1e-3, 'less')
    base = dict(patience=None, monitor='macro_recall', rule='greater')
    (best,) = by_id([1e-4], base=base)['base_lr0.0001'].hooks
    assert best == dict(
        type='BestCheckpointHook', monitor='macro_recall', rule='greater'
    )


def test_seeds_and_augmentations_multiply_bases_and_fissions_but_not_the_probe():
    trials = by_id([1e-3, 1e-4], seeds=[3, 4], augmentations=['minimal', 'heavy'])
    assert len(trials) == 1 + 8 + 8
    trial = trials['fission_lr0.001_seed4_heavy']
    assert trial.parent == 'base_lr0.001_seed4_heavy'
    assert trial.hyper == dict(lr=1e-3, seed=4, augmentation='heavy')
    assert trial.overrides['randomness.seed'] == 4
    assert trial.overrides['augmentation'] == 'heavy'
    assert trials['probe'].overrides['randomness.seed'] == 3
    assert trials['probe'].overrides['augmentation'] == 'minimal'


def test_a_single_augmentation_is_in_the_hyper_parameters_but_not_in_the_id():
    trials = by_id([1e-3], augmentations=['heavy'])
    assert trials['base_lr0.001'].hyper['augmentation'] == 'heavy'


def test_without_probe_bases_start_from_the_model():
    trials = by_id([1e-3], probe=None)
    assert list(trials) == ['base_lr0.001', 'fission_lr0.001']
    assert trials['base_lr0.001'].parent is None


def test_without_fission_there_are_bases_only():
    assert list(by_id([1e-3], fission=None)) == ['probe', 'base_lr0.001']


def test_a_probe_freezes_unless_told_otherwise():
    overrides = by_id([1e-3], probe=dict(norm_eval=True))['probe'].overrides
    assert overrides[PROBE] == dict(norm_eval=True)
    overrides = by_id([1e-3], probe=dict(freeze=False))['probe'].overrides
    assert PROBE not in overrides


def test_a_stages_own_overrides_have_the_last_word():
    extra = {'optim_wrapper.optimizer.weight_decay': 0.0, 'randomness.seed': 9}
    trials = by_id([1e-3], base=dict(overrides=extra))
    assert trials['base_lr0.001'].overrides.items() >= extra.items()
    assert trials['fission_lr0.001'].overrides['randomness.seed'] == 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(lrs=[]), r'plan\.lrs=\[\]'),
        (dict(lrs=[1e-3, 0.001]), r'plan\.lrs=.*each value once'),
        (dict(lrs=1e-3), r'plan\.lrs=0\.001: expected a list'),
        (dict(lrs='1e-3'), r"plan\.lrs='1e-3': expected a list"),
        (dict(seeds=[1, 1]), r'plan\.seeds'),
        (dict(augmentations='heavy'), r"plan\.augmentations='heavy'"),
        (dict(base=dict(epoch=3)), r"plan\.base: unknown key 'epoch', there are"),
        (dict(probe=dict(patience=3)), r"plan\.probe: unknown key 'patience'"),
        (dict(base=dict(epochs=0)), r'plan\.base: epochs=0'),
        (dict(fission=dict(epochs='17')), r"plan\.fission: epochs='17'"),
        (dict(fission=dict(epochs=2.5)), r'plan\.fission: epochs=2\.5'),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_key(arguments, message):
    with pytest.raises(ConfigError, match=message):
        FGGPlan(**{'lrs': [1e-3], **arguments})


@pytest.mark.parametrize(
    'arguments',
    [
        dict(fission=dict(epochs=1, phase=0)),  # no minimum
        dict(fission=dict(max_lr=1e-8, min_lr=1e-5)),
        dict(fission=dict(phase=1.5)),
        dict(fission=dict(cycle=0)),
        dict(fission=dict(max_lr='1e-5')),
        dict(base=dict(rule='max')),
        dict(base=dict(patience='8')),
        dict(lrs=['1e-3']),
        dict(lrs=[-1e-3]),
        dict(base=3),
        dict(base=None),
    ],
)
def test_what_would_fail_after_days_of_training_is_refused_at_once(arguments):
    with pytest.raises(ConfigError, match='plan'):
        FGGPlan(**{'lrs': [1e-3], **arguments})


def test_learning_rates_too_close_to_be_told_apart_do_not_share_a_folder():
    with suppress(ConfigError):  # to refuse them will do as well
        assert len(by_id([1e-3, 1.0000001e-3])) == 5


def test_a_fission_validates_its_snapshots_only_unless_told_otherwise():
    def validates(**fission):
        return {t.stage: t.validates for t in FGGPlan([1e-3], fission=fission).trials()}

    other = dict(probe='every_epoch', base='every_epoch')
    assert validates() == dict(other, fission='snapshots')
    assert validates(validate='every_epoch') == dict(other, fission='every_epoch')
    with pytest.raises(
        ConfigError, match=r"plan\.fission: validate='never'.*'snapshots'"
    ):
        validates(validate='never')


@pytest.mark.parametrize(
    ('options', 'kept'),
    [({}, False), (dict(probe=None), True), (dict(probe=None, seeds=[0, 1]), False)],
)
def test_bases_keep_their_start_where_it_can_be_the_same_of_all(options, kept):
    for trial in FGGPlan([1e-3, 1e-4], **options).trials():
        starts = [hook for hook in trial.hooks if hook['type'] == 'StartHook']
        assert len(starts) == (kept and trial.stage == 'base')
