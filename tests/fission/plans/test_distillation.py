"""Distillation on real runs: targets by hand, the control, and interruptions."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from many_processes import make
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, RUNNERS
from mmpretrain.registry import MODELS
from trained_plans import train

from ff_mm.config import resolve
from ff_mm.engine.hooks.view_seed_hook import ViewLoading, checksum_of
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import read_json
from ff_mm.fission import DistillationPlan
from ff_mm.fission.distillation import passes
from ff_mm.fission.distillation.targets import TARGETS, Targets
from ff_mm.merging.pool import read_pool
from ff_mm.merging.state_dict import read_state_dict

PLAN = dict(type='DistillationPlan', lrs=[1e-3], student=dict(epochs=3))
TEACHER = {'base_lr0.01': 3, 'base_lr0.001': 1}
SEEN: list = []


@HOOKS.register_module()
class TargetsSeen(Hook):
    """Notes view, image and target of what a student is trained on."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for sample in data_batch['data_samples']:
            target = sample.get('gt_score')
            SEEN.append((sample.view, sample.view_index, sample.gt_label, target))


@pytest.fixture(scope='module')
def student_config(small_pool, generation_config):
    """A function: the config of a distillation of the small pool."""

    def make(work_dir, plan=None, **options):
        hooks = [dict(type='Interrupt'), dict(type='TargetsSeen')]
        cfg = generation_config(work_dir, custom_hooks=hooks, **options)
        pool = f'{small_pool.work_dir}/ingredients.json'
        cfg.plan = dict(copy.deepcopy(PLAN), pool=pool) | (plan or {})
        return cfg

    return make


TAUGHT = dict(teacher=TEACHER, views=2)


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, student_config):
    work_dir = tmp_path_factory.mktemp('student')
    SEEN.clear()
    manifest = RUNNERS.build(student_config(work_dir, TAUGHT)).train()
    return work_dir, manifest, list(SEEN)


def targets_of(work_dir):
    return Targets.read(work_dir / 'trials' / 'teacher' / TARGETS)


def test_what_comes_out_is_a_pool_with_all_of_its_cost(unbroken, small_pool):
    work_dir, manifest, _ = unbroken
    (student,) = manifest['ingredients']
    assert (student['name'], student['stage']) == ('student_lr0.001', 'student')
    assert manifest['complete'] and manifest['origin']['name'] == 'teacher'
    # 3 epochs of 40 images; 2 models on 2 views of them.
    assert manifest['cost']['images'] == 3 * 40 + 2 * 2 * 40
    assert manifest['cost']['epochs'] == 3
    pool = read_json(f'{small_pool.work_dir}/ingredients.json')
    best = min(pool['ingredients'], key=lambda each: each['metrics']['loss'])
    assert manifest['made_of'] == dict(
        pool=f'{small_pool.work_dir}/ingredients.json',
        cost=pool['cost'],
        start=f'{small_pool.work_dir}/{best["file"]}',
        teacher={'base_lr0.01': 0.75, 'base_lr0.001': 0.25},
    )
    whole = read_pool(f'{work_dir}/ingredients.json').cost
    assert whole['epochs'] == 3 + pool['cost']['epochs']
    assert whole['images'] == manifest['cost']['images'] + pool['cost']['images']
    start = read_state_dict(work_dir / manifest['origin']['file'])
    expected = read_state_dict(f'{small_pool.work_dir}/{best["file"]}')
    assert all(torch.equal(start[key], expected[key]) for key in expected)


def test_targets_are_the_mixture_on_what_the_student_is_shown(
    unbroken, small_pool, student_config, tmp_path
):
    work_dir, _, seen = unbroken
    cfg = resolve(student_config(tmp_path))
    runner = RUNNERS.get('QuietRunner')
    dataset = runner.build_dataloader(cfg.train_dataloader, seed=0).dataset
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    model.eval()
    views, expected = ViewLoading(dataset, seed=0), {}
    for view, index in itertools.product(range(2), range(40)):
        views.announce(view)
        inputs = views([index])[0]['inputs']
        prepared = model.data_preprocessor(dict(inputs=inputs[None]))['inputs']
        mean = 0
        for name, weight in TEACHER.items():
            file = Path(small_pool.work_dir) / 'ingredients' / f'{name}.pth'
            model.load_state_dict(read_state_dict(file))
            with torch.no_grad():
                mean = mean + weight / 4 * model(prepared, mode='tensor').softmax(1)
        expected[view, index] = mean[0], checksum_of(inputs)
    targets = targets_of(work_dir)
    for (view, index), (mean, checksum) in expected.items():
        assert np.allclose(targets.probabilities[view, index], mean, atol=1e-6)
        assert targets.checksums[view, index] == checksum
    assert len(set(targets.checksums.flatten().tolist())) > 70  # augmentation acts
    assert len(seen) == 3 * 40
    assert [view for view, *_ in seen[::40]] == [0, 1, 0]
    assert [s[1] for s in seen[:40]] != [s[1] for s in seen[80:]]  # shuffled anew
    for view, index, label, target in seen:
        onehot = torch.nn.functional.one_hot(label, 10)[0]
        mixed = onehot / 2 + expected[view, index][0] / 2
        assert torch.allclose(target, mixed, atol=1e-6)


def same(manifest, again):
    digests = [entry['sha256'] for entry in manifest['ingredients']]
    return digests == [entry['sha256'] for entry in again['ingredients']]


def test_an_interrupted_student_goes_on_bit_for_bit(unbroken, student_config, tmp_path):
    HOOKS.get('Interrupt').moment = ('student_lr0.001', 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(student_config(tmp_path, TAUGHT)).train()
    assert same(unbroken[1], RUNNERS.build(student_config(tmp_path, TAUGHT)).train())


def test_an_interrupted_teacher_takes_up_what_it_has_said(
    unbroken, student_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(passes, '_CHUNK', 16)  # of batches of 8: parts of 16, 16, 8
    done, compute = [], passes.TeacherPasses._pass

    def interrupted(self, batches):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(len(batches))
        return compute(self, batches)

    monkeypatch.setattr(passes.TeacherPasses, '_pass', interrupted)
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(student_config(tmp_path, TAUGHT)).train()
    assert done == [2, 2, 1, 2]
    half = tmp_path / 'trials' / 'teacher' / 'targets' / 'view0_16_32.npz'
    half.write_bytes(half.read_bytes()[:-100])  # as no write leaves it
    done[:] = [0] * 5
    manifest = RUNNERS.build(student_config(tmp_path, TAUGHT)).train()
    assert done[5:] == [2, 2, 1]
    assert same(unbroken[1], manifest)
    assert targets_of(tmp_path).key == targets_of(unbroken[0]).key
    assert not half.parent.exists()


def test_without_a_teacher_it_is_plain_fine_tuning(
    unbroken, student_config, generation_config, tmp_path
):
    control = RUNNERS.build(
        student_config(tmp_path / 'control', dict(share=0, views=2))
    ).train()
    assert control['cost']['images'] == 3 * 40
    assert control['made_of']['teacher'] == {}
    plain = generation_config(
        tmp_path / 'plain',
        custom_hooks=[dict(type='ViewSeedHook', views=2)],
        load_from=control['made_of']['start'],
    )
    plain.plan = dict(
        type='GridSearchPlan',
        lrs=[1e-3],
        seeds=[0],
        augmentations=['medium'],
        probe=None,
        base=dict(epochs=3, patience=None),
    )
    RUNNERS.build(plain).train()
    one = read_state_dict(tmp_path / 'control' / 'ingredients' / 'student_lr0.001.pth')
    other = read_state_dict(tmp_path / 'plain' / 'ingredients' / 'base_lr0.001.pth')
    assert all(torch.equal(one[key], other[key]) for key in other)
    taught = read_state_dict(unbroken[0] / 'ingredients' / 'student_lr0.001.pth')
    assert not torch.equal(taught['head.fc.weight'], one['head.fc.weight'])


def test_another_view_than_the_teachers_is_an_error(
    unbroken, student_config, tmp_path, monkeypatch
):
    # As another version of a library would show it.
    HOOKS.get('Interrupt').moment = ('student_lr0.001', 1, 'training')
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(student_config(tmp_path, TAUGHT)).train()
    views = 'ff_mm.engine.hooks.view_seed_hook.checksum_of'
    monkeypatch.setattr(views, lambda inputs: checksum_of(inputs + 1))
    with pytest.raises(FFMMError, match='view 0 is not what the teacher was shown'):
        RUNNERS.build(student_config(tmp_path, TAUGHT)).train()


def test_data_workers_and_ranks_are_shown_the_same(
    unbroken, student_config, tmp_path, monkeypatch
):
    expected = targets_of(unbroken[0])
    short = TAUGHT | dict(student=dict(epochs=2))
    # With workers: training compares what it is shown.
    workers = student_config(
        tmp_path / 'workers', short, train_dataloader__num_workers=2
    )
    RUNNERS.build(workers).train()
    found = targets_of(tmp_path / 'workers')
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert np.array_equal(found.checksums, expected.checksums)

    monkeypatch.setattr(passes, '_CHUNK', 16)  # three parts, of two ranks
    ranks = student_config(tmp_path / 'ranks', short, parallel='data')
    ranks.launcher = 'pytorch'
    made = make(2, train, ranks)
    assert made[0]['cost']['images'] == 2 * 40 + 2 * 2 * 40
    found = targets_of(tmp_path / 'ranks')
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert np.array_equal(found.checksums, expected.checksums)


def test_targets_that_were_changed_are_made_again(unbroken, student_config, tmp_path):
    HOOKS.get('Interrupt').moment = ('student_lr0.001', 1, 'training')
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(student_config(tmp_path, TAUGHT)).train()
    file = tmp_path / 'trials' / 'teacher' / TARGETS
    file.unlink()
    assert same(unbroken[1], RUNNERS.build(student_config(tmp_path, TAUGHT)).train())
    assert file.exists()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(share=1.5), 'plan.share=1.5: expected a number from 0 to 1'),
        (dict(share='half'), "plan.share='half'"),
        (dict(temperature=0), 'plan.temperature=0: expected a number above 0'),
        (dict(views=0), 'plan.views=0: expected 1 or more'),
        (dict(views=1.5), 'plan.views=1.5'),
        (dict(missing='zero'), "plan.missing='zero': expected ignore or teacher"),
        (dict(teacher=[]), r'plan.teacher=\[\]: expected None'),
        (dict(teacher='all'), "plan.teacher='all'"),
        (dict(teacher=dict(a=-1)), "'a'=-1: expected a weight of 0 or more"),
        (dict(teacher=dict(a=0)), 'all weights are 0'),
        (dict(pool=None), 'plan.pool=None'),
        (dict(augmentations=['a', 'b']), 'expected one'),
        (dict(student=dict(epoch=3)), "plan.student: unknown key 'epoch'"),
    ],
)
def test_mistakes_in_the_plan(change, words):
    with pytest.raises(ConfigError, match=words):
        DistillationPlan(**dict(pool='ingredients.json') | change)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(pool='nowhere/ingredients.json'), 'no such file; run the generation'),
        (dict(teacher=['base_lr7']), "has no ingredient 'base_lr7', it has base"),
        (dict(teacher='report.json'), 'no such file; expected None'),
        (dict(start='soup.pth'), "plan.start='soup.pth': no such file"),
        (dict(student=dict(monitor='kappa')), 'monitor'),
    ],
)
def test_mistakes_said_before_training(change, words, student_config, tmp_path):
    with pytest.raises(FFMMError, match=words):
        RUNNERS.build(student_config(tmp_path, change)).train()
    assert not (tmp_path / 'trials').exists()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'model__backbone__stem_channels': 8}, 'differs in shape'),
        (
            {'model__head__loss': dict(type='FocalLoss', _delete_=True)},
            'takes no mixture',
        ),
        (
            {'model__train_cfg': dict(augments=dict(type='Mixup', alpha=0.2))},
            'leave batch augmentation out',
        ),
    ],
)
def test_a_model_that_does_not_fit(options, words, student_config, tmp_path):
    with pytest.raises(FFMMError, match=words):
        RUNNERS.build(student_config(tmp_path, **options)).train()
    assert not list((tmp_path / 'trials').glob('student*'))


def test_its_trials():
    plan = DistillationPlan('p.json', lrs=[1e-3, 1e-4], seeds=[3, 4])
    first, *students = plan.trials()
    assert (first.id, first.epochs, first.yields) == ('teacher', 0, 'start')
    assert [t.id for t in students][:2] == [
        'student_lr0.001_seed3',
        'student_lr0.001_seed4',
    ]
    assert {t.parents for t in students} == {('teacher',)}
    views = [h for t in students for h in t.hooks if h['type'] == 'ViewSeedHook']
    assert [h['seed'] for h in views] == [3] * 4 and views[0]['views'] == 10
    control = DistillationPlan('p.json', share=0, views=4).trials()
    assert [t.id for t in control] == ['start', 'student_lr0.0005']
    types = [hook['type'] for hook in control[1].hooks]
    assert 'DistillationHook' not in types and 'StartHook' not in types
