"""Distillation on images without labels, too, on real runs."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, RUNNERS, init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from ff_mm.config import resolve
from ff_mm.datasets import Digits
from ff_mm.engine.hooks.view_seed_hook import ViewLoading
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.fission import DistillationPlan
from ff_mm.fission.distillation.targets import TARGETS, Targets
from ff_mm.fission.trial import trial_config
from ff_mm.merging.state_dict import read_state_dict

LABELLED, ADDED = 40, 20
TEACHER = ['base_lr0.01', 'base_lr0.001']
SEEN: list = []


@HOOKS.register_module()
class UnlabelledSeen(Hook):
    """Notes view, image, label and target of what a student is trained on."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for s in data_batch['data_samples']:
            SEEN.append((s.view, s.view_index, s.gt_label, s.get('gt_score')))


def write_digits(folder, split, numbers):
    """Digits as files, as a folder of a user's has them."""
    digits = Digits(split=split)
    folder.mkdir(parents=True)
    for number in numbers:
        name = f'{number:03}.png'
        cv2.imwrite(str(folder / name), digits.get_data_info(number)['img'])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Digits that are neither in the small training set nor evaluated."""
    folder = tmp_path_factory.mktemp('unlabelled')
    write_digits(folder / 'clinic', 'train', range(LABELLED, LABELLED + ADDED))
    (folder / 'readme.txt').write_text('no image')
    return folder


@pytest.fixture(scope='module')
def student_config(small_pool, generation_config, folder):
    def make(work_dir, plan=None, **options):
        hooks = [dict(type='Interrupt'), dict(type='UnlabelledSeen')]
        cfg = generation_config(work_dir, custom_hooks=hooks, **options)
        cfg.plan = dict(
            type='DistillationPlan',
            pool=f'{small_pool.work_dir}/ingredients.json',
            teacher=list(TEACHER),
            views=2,
            unlabelled=str(folder),
            lrs=[1e-3],
            student=dict(epochs=3),
        ) | copy.deepcopy(plan or {})
        return cfg

    return make


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, student_config):
    work_dir = tmp_path_factory.mktemp('student')
    SEEN.clear()
    manifest = RUNNERS.build(student_config(work_dir)).train()
    return work_dir, manifest, list(SEEN)


def same(manifest, again):
    digests = [entry['sha256'] for entry in manifest['ingredients']]
    return digests == [entry['sha256'] for entry in again['ingredients']]


def test_they_are_mixed_in_and_learned_from_the_teacher_alone(unbroken):
    work_dir, manifest, seen = unbroken
    every = LABELLED + ADDED
    # 3 epochs, and 2 models on 2 views.
    assert manifest['cost']['images'] == 3 * every + 2 * 2 * every
    targets = Targets.read(work_dir / 'trials' / 'teacher' / TARGETS)
    assert targets.probabilities.shape == (2, every, 10)
    assert len(seen) == 3 * every
    first = [index for _, index, *_ in seen[:every]]
    assert sorted(first) == list(range(every))
    assert {True, False} == {index < LABELLED for index in first[:16]}  # mixed
    for view, index, label, target in seen:
        said = torch.from_numpy(targets.probabilities[view, index])
        if index >= LABELLED:
            assert len(label) == 0 and torch.equal(target, said)
        else:
            onehot = torch.nn.functional.one_hot(label, 10)[0]
            assert torch.allclose(target, onehot / 2 + said / 2, atol=1e-6)


def test_the_teacher_sees_them_as_the_student_will(
    unbroken, small_pool, student_config, tmp_path
):
    runner = RUNNERS.build(student_config(tmp_path))
    cfg = trial_config(runner.cfg, runner.trials[-1], tmp_path)
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    cfg = resolve(runner.cfg)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    model.eval()
    views = ViewLoading(dataset, seed=0)
    views.announce(1)
    shown = torch.stack(
        [view['inputs'] for view in views(range(LABELLED, len(dataset)))]
    )
    prepared = model.data_preprocessor(dict(inputs=shown))['inputs']
    mean = 0
    for name in TEACHER:
        file = Path(small_pool.work_dir) / 'ingredients' / f'{name}.pth'
        model.load_state_dict(read_state_dict(file))
        with torch.no_grad():
            mean = mean + model(prepared, mode='tensor').softmax(1) / 2
    targets = Targets.read(unbroken[0] / 'trials' / 'teacher' / TARGETS)
    assert np.allclose(targets.probabilities[1, LABELLED:], mean, atol=1e-6)


def test_an_interrupted_student_goes_on_bit_for_bit(
    unbroken, student_config, tmp_path, capsys
):
    HOOKS.get('Interrupt').moment = ('student_lr0.001', 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(student_config(tmp_path)).train()
    said = ' '.join(capsys.readouterr().out.split())
    assert (
        'unlabelled: 20 images beside 40 with labels, so an epoch is of 60 and takes '
        '1.5 times as long; 180 images to train on in all 3 epochs'
    ) in said
    assert 'over the training images, with and without labels, a view' in said
    assert same(unbroken[1], RUNNERS.build(student_config(tmp_path)).train())


def test_the_cache_has_them_and_changes_nothing(
    unbroken, student_config, tmp_path, capsys
):
    cfg = student_config(tmp_path, cache_images=True)
    assert same(unbroken[1], RUNNERS.build(cfg).train())
    assert f'cache_images: {ADDED} images' in capsys.readouterr().out


def test_images_that_change_meanwhile_are_told(student_config, folder, tmp_path):
    shutil.copytree(folder, tmp_path / 'images')
    plan = dict(unlabelled=str(tmp_path / 'images'))
    HOOKS.get('Interrupt').moment = ('student_lr0.001', 1, 'training')
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.build(student_config(tmp_path / 'out', plan)).train()
    next((tmp_path / 'images' / 'clinic').glob('*.png')).unlink()
    with pytest.raises(FFMMError, match='images of unlabelled are not those'):
        RUNNERS.build(student_config(tmp_path / 'out', plan)).train()


def copy_of_val(folder):
    write_digits(folder / 'new', 'val', [3])


def copy_of_a_corrupted_one(folder):
    shifted = Digits(split='test', corruption='mixed', severity=3)
    cv2.imwrite(str(folder / 'ood.png'), shifted.get_data_info(3)['img'])


def cut_one_short(folder):
    file = next((folder / 'clinic').glob('*.png'))
    file.write_bytes(file.read_bytes()[:-30])


def leave_none(folder):
    shutil.rmtree(folder / 'clinic')


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (copy_of_val, r'images of val with the content of an unlabelled one: 1'),
        (copy_of_a_corrupted_one, r'images of ood/corrupted with the content'),
        (cut_one_short, 'images of unlabelled that cannot be read: 1'),
        (leave_none, 'plan.unlabelled.*No image in'),
        (shutil.rmtree, 'There is no such folder'),
    ],
)
def test_images_that_are_refused_before_training(
    spoil, words, student_config, folder, tmp_path
):
    shutil.copytree(folder, tmp_path / 'images')
    spoil(tmp_path / 'images')
    plan = dict(unlabelled=dict(data_root=str(tmp_path / 'images')))
    with pytest.raises(FFMMError) as caught:
        RUNNERS.build(student_config(tmp_path / 'out', plan)).train()
    assert re.search(words, ' '.join(caught.value.lines))
    assert not (tmp_path / 'out' / 'trials').exists()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(unlabelled=3), 'plan.unlabelled=3: expected a folder'),
        (dict(unlabelled='x', share=0), 'with plan.share=0 labels alone teach'),
    ],
)
def test_mistakes_in_the_plan(change, words):
    with pytest.raises(ConfigError, match=words):
        DistillationPlan('ingredients.json', **change)


def test_they_go_with_an_adjusted_loss_and_not_with_sampling(student_config, tmp_path):
    cfg = student_config(tmp_path / 'sampling', class_balance='sampling')
    with pytest.raises(
        ConfigError, match="class_balance='sampling' draws by the class"
    ):
        RUNNERS.build(cfg).train()
    one = dict(student=dict(epochs=1), views=1)
    cfg = student_config(tmp_path / 'loss', one, class_balance='loss')
    (student,) = RUNNERS.build(cfg).train()['ingredients']
    assert student['hyper']['class_balance'] == 'loss'
