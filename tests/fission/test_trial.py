from __future__ import annotations

import pytest

from ff_mm.errors import ConfigError
from ff_mm.fission import FGGPlan, Trial, trial_config
from ff_mm.fission.trial import PROBE


@pytest.fixture
def base_config(generation_config, tmp_path):
    return generation_config(tmp_path)


def trial(trial_id='base', **changes):
    return Trial(**dict(id=trial_id, stage='base', epochs=3, overrides={}) | changes)


def hooks(cfg):
    return [hook['type'] for hook in cfg.custom_hooks]


def test_overrides_reach_what_refers_to_them(base_config, tmp_path):
    minimal = trial(overrides={'augmentation': 'minimal', 'image_size': 12})
    cfg = trial_config(base_config, minimal, tmp_path / 'a')
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert [step['type'] for step in pipeline] == [
        'Resize',
        'RandomResizedCrop',
        'PackInputs',
    ]
    assert pipeline[1]['crop_ratio_range'] == (0.9, 1.0)
    assert pipeline[0]['scale'] == pipeline[1]['scale'] == 12
    assert base_config.augmentation == 'medium'
    assert 'plan' in base_config  # the generation's config itself stays as it is


def test_references_into_the_model_hold_where_only_its_head_trains(
    base_config, tmp_path
):
    head = base_config.model.head.to_dict()
    base_config.val_evaluator = dict(type='A', number='${model.head.num_classes}')
    probe = trial(overrides={PROBE: dict(norm_eval=True)})
    cfg = trial_config(base_config, probe, tmp_path / 'a')
    assert cfg.val_evaluator.number == cfg.model.model.head.num_classes
    assert cfg.model.type == 'mmengine.LinearProbe' and cfg.model.norm_eval
    assert head == base_config.model.head  # it is the trial's config that changes


def test_trials_of_one_id_in_two_folders_have_two_experiment_names(
    base_config, tmp_path
):
    names = {
        trial_config(base_config, trial(name), tmp_path / folder).experiment_name
        for name in ('a', 'b')
        for folder in ('x', 'y')
    }
    assert len(names) == 4


@pytest.mark.parametrize(
    'backbone',
    [
        dict(
            type='ResNet',
            depth=18,
            init_cfg=dict(type='Pretrained', checkpoint='https://x/y.pth'),
        ),
        dict(type='TIMMBackbone', model_name='resnet18', pretrained=True),
        dict(type='TIMMBackbone', model_name='resnet18', checkpoint_path='/x.pth'),
    ],
)
def test_nothing_pretrained_is_fetched_where_a_parent_gives_the_weights(
    base_config, tmp_path, backbone
):
    base_config.model.backbone = backbone
    child = trial_config(base_config, trial(), tmp_path, parent_file='p.pth')
    assert child.load_from == 'p.pth'
    assert child.resume is False
    for value in ('https://x/y.pth', '/x.pth', True):
        assert value not in child.model.backbone.values()
        assert value not in (child.model.backbone.get('init_cfg') or {}).values()
    first = trial_config(base_config, trial(), tmp_path)
    assert first.model.backbone == base_config.model.backbone
    assert first.load_from is None


def test_other_initialisation_is_kept(base_config, tmp_path):
    init = [dict(type='Kaiming', layer=['Conv2d'])]
    base_config.model.backbone.init_cfg = init
    child = trial_config(base_config, trial(), tmp_path, parent_file='p.pth')
    assert child.model.backbone.init_cfg == init


def test_a_state_wins_over_the_parent_whose_optimizer_came_along_before(
    base_config, tmp_path
):
    fission = trial(parent='base', inherit_optimizer=True)
    fresh = trial_config(base_config, fission, tmp_path, parent_file='p.pth')
    assert fresh.custom_hooks[0] == dict(type='WarmStartHook', optimizer=True)
    resumed = trial_config(
        base_config, fission, tmp_path, parent_file='p.pth', state='s.pth'
    )
    assert (resumed.resume, resumed.load_from) == (True, 's.pth')
    assert 'WarmStartHook' not in hooks(resumed)


def test_what_makes_a_trial_resumable_is_in_it(base_config, tmp_path):
    base_config.custom_hooks = [dict(type='Interrupt')]
    cfg = trial_config(base_config, trial(hooks=(dict(type='X'),)), tmp_path)
    assert hooks(cfg) == [
        'Interrupt',
        'X',
        'DivergenceHook',
        'TerminationHook',
        'EarlyWorkersHook',
        'KeptValidationHook',
        'EpochSeedHook',
        'SafeCheckpointHook',
        'ResumeStateHook',
    ]
    assert cfg.default_hooks.checkpoint is None


def test_training_workers_persist_unless_told_not_to(base_config, tmp_path):
    base_config.train_dataloader.num_workers = 2
    base_config.train_dataloader.pop('persistent_workers', None)
    cfg = trial_config(base_config, trial(), tmp_path)
    assert cfg.train_dataloader.persistent_workers is True
    base_config.train_dataloader.persistent_workers = False
    cfg = trial_config(base_config, trial(), tmp_path)
    assert cfg.train_dataloader.persistent_workers is False


def test_a_trials_config_holds_nothing_of_the_plan(base_config, tmp_path):
    for planned in FGGPlan([1e-3]).trials():
        cfg = trial_config(base_config, planned, tmp_path / planned.id)
        assert not {'plan', 'runner_type', 'selection', 'ood_dataloaders'} & set(cfg)
        assert '${' not in str(cfg.to_dict())
        assert cfg.train_cfg.max_epochs == planned.epochs


def test_a_trial_without_parent_starts_from_the_configs_own_weights(
    base_config, tmp_path
):
    base_config.load_from = 'mine.pth'
    first = trial_config(base_config, trial(), tmp_path / 'a')
    child = trial_config(base_config, trial(), tmp_path / 'b', parent_file='best.pth')
    state = trial_config(base_config, trial(), tmp_path / 'c', state='state.pth')
    assert (first.load_from, first.resume) == ('mine.pth', False)
    assert (child.load_from, child.resume) == ('best.pth', False)
    assert (state.load_from, state.resume) == ('state.pth', True)


def test_channels_last_is_a_hook_and_no_key_of_a_trial(base_config, tmp_path):
    plain = trial_config(base_config, trial(), tmp_path / 'a')
    base_config.channels_last = True
    cfg = trial_config(base_config, trial(), tmp_path / 'b')
    assert 'ChannelsLastHook' in hooks(cfg)
    assert 'ChannelsLastHook' not in hooks(plain)
    assert 'channels_last' not in cfg and 'channels_last' not in plain


@pytest.mark.parametrize(
    ('said', 'found'),
    [
        ({}, False),
        (dict(compile=True), True),
        (dict(compile=False), False),
        ({'compile.mode': 'max-autotune'}, dict(mode='max-autotune')),
        (dict(compile=dict(dynamic=False)), dict(dynamic=False)),
    ],
    ids=['off', 'on', 'off again', 'by key', 'dict'],
)
def test_compiling_takes_options(tmp_path, generation_config, said, found):
    cfg = generation_config(tmp_path)
    cfg.merge_from_dict(said)
    assert trial_config(cfg, trial(), tmp_path).compile == found


@pytest.mark.parametrize(
    ('said', 'line'),
    [('max-autotune', "compile='max-autotune': expected"), (dict(m=1), 'compile.m: ')],
    ids=['text', 'unknown'],
)
def test_what_cannot_be_compiled_with_is_said(tmp_path, generation_config, said, line):
    cfg = generation_config(tmp_path, compile=said)
    with pytest.raises(ConfigError, match=line):
        trial_config(cfg, trial(), tmp_path)


@pytest.mark.parametrize('given', [{}, dict(type='ValLoop'), dict(fp16=True)])
def test_a_fission_validates_only_its_snapshots_unless_told_to(
    base_config, tmp_path, given
):
    base_config.val_cfg = dict(given)

    def loop(**fission):
        trials = FGGPlan([1e-3], fission=fission).trials()
        loops = [trial_config(base_config, t, tmp_path).val_cfg for t in trials]
        assert loops[:2] == [given, given]  # probe and base
        return loops[2]

    assert loop() == dict(given, type='SnapshotValLoop')
    assert loop(validate='every_epoch') == given


def test_a_validation_loop_of_ones_own_is_kept(base_config, tmp_path):
    base_config.val_cfg = dict(type='MyValLoop')
    cfg = trial_config(base_config, trial(validates='snapshots'), tmp_path)
    assert cfg.val_cfg == dict(type='MyValLoop')


def test_mixed_precision_for_gpus_is_refused_where_there_is_none(
    base_config, tmp_path, monkeypatch
):
    base_config.optim_wrapper.type = 'AmpOptimWrapper'
    monkeypatch.setattr('ff_mm.fission.trial.get_device', lambda: 'cpu')
    with pytest.raises(ConfigError, match='Bfloat16OptimWrapper'):
        trial_config(base_config, trial(), tmp_path)
    monkeypatch.setattr('ff_mm.fission.trial.get_device', lambda: 'cuda')
    assert trial_config(base_config, trial(), tmp_path)


def test_an_override_goes_through_a_reference_and_leaves_what_others_refer_to(
    base_config, tmp_path
):
    base_config.table = dict(file='a.csv', filter=dict(sex='f'))
    for loader in (base_config.train_dataloader, base_config.val_dataloader):
        loader.dataset.table = '${table}'
    north = trial(overrides={'train_dataloader.dataset.table.filter': dict(city='N')})
    cfg = trial_config(base_config, north, tmp_path)
    train, val = cfg.train_dataloader.dataset.table, cfg.val_dataloader.dataset.table
    assert train == dict(file='a.csv', filter=dict(sex='f', city='N'))
    assert val == dict(file='a.csv', filter=dict(sex='f'))
    whole = trial(overrides={'train_dataloader.dataset.table': dict(file='b.csv')})
    cfg = trial_config(base_config, whole, tmp_path)
    assert cfg.train_dataloader.dataset.table == dict(file='b.csv')


def test_an_override_that_cannot_be_set_is_named(base_config, tmp_path):
    wrong = trial(overrides={'image_size.short': 3})
    with pytest.raises(ConfigError, match=r'image_size\.short=3: '):
        trial_config(base_config, wrong, tmp_path)
