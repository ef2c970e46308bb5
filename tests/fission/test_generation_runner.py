from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from trained_plans import digests, train, write_images

from ff_mm.datasets import DatasetError
from ff_mm.errors import ConfigError, LedgerError
from ff_mm.files import read_json, sha256, write_json
from ff_mm.fission import GenerationRunner

ROOT = Path(__file__).parents[2]
SHORT = dict(
    plan__lrs=[1e-2],
    plan__probe__epochs=1,
    # Only the first epoch is an improvement by 9: stops after epoch 3 of 6.
    plan__base=dict(epochs=6, patience=2, min_delta=9),
    custom_hooks=[dict(type='Interrupt')],
)
BASE, FISSION = 'base_lr0.01', 'fission_lr0.01'


def ledger(work_dir):
    return {e['id']: e for e in read_json(Path(work_dir) / 'ledger.json')['trials']}


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory, generation_config):
    """The work directory of a short plan that nothing has interrupted."""
    work_dir = tmp_path_factory.mktemp('unbroken')
    train(generation_config(work_dir, **SHORT))
    return work_dir


def test_a_generation_leaves_what_fusion_reads(unbroken):
    manifest = read_json(unbroken / 'ingredients.json')
    names = [e['name'] for e in manifest['ingredients']]
    assert names == [BASE, f'{FISSION}_cycle1', f'{FISSION}_cycle2']
    assert manifest['complete'] is True
    assert manifest['validation']['size'] == 40
    assert manifest['cost'].items() >= dict(trials=3, epochs=1 + 3 + 3).items()
    for entry in manifest['ingredients']:
        file = unbroken / entry['file']
        assert sha256(file) == entry['sha256']
        content = torch.load(file, weights_only=True)
        assert set(content) == {'meta', 'state_dict'}
        assert len(content['meta']['dataset_meta']['classes']) == 10
        assert set(entry['metrics']) == {'accuracy', 'macro_recall', 'macro_f1', 'loss'}
        assert entry['hyper'] == dict(lr=0.01, seed=0, augmentation='medium')
    base, first, second = manifest['ingredients']
    assert (base['stage'], base['parent'], base['cycle']) == ('base', 'probe', None)
    assert (first['cycle'], first['epoch'], first['parent']) == (1, 1, BASE)
    assert (second['cycle'], second['epoch']) == (2, 3)


def test_where_all_ingredients_have_begun_is_kept_beside_them(unbroken):
    manifest = read_json(unbroken / 'ingredients.json')
    origin = manifest['origin']
    assert (origin['name'], origin['stage'], origin['epoch']) == ('probe', 'probe', 1)
    assert origin['file'] == 'origin/probe.pth'
    assert sha256(unbroken / origin['file']) == origin['sha256']
    kept = torch.load(unbroken / origin['file'], weights_only=True)
    assert set(kept) == {'meta', 'state_dict'}
    best = torch.load(unbroken / 'trials' / 'probe' / 'best.pth', weights_only=True)
    assert list(kept['state_dict']) == list(best['state_dict'])
    for key, value in best['state_dict'].items():
        assert torch.equal(kept['state_dict'][key], value)
    base = torch.load(unbroken / f'ingredients/{BASE}.pth', weights_only=True)
    assert list(kept['state_dict']) == list(base['state_dict'])
    assert origin['name'] not in [e['name'] for e in manifest['ingredients']]
    assert sha256(unbroken / 'ingredients' / f'{BASE}.pth') != origin['sha256']


def test_the_base_ingredient_is_its_best_epoch(unbroken):
    entry = ledger(unbroken)[BASE]
    assert entry['epochs'] == 3
    best = torch.load(unbroken / 'trials' / BASE / 'best.pth', weights_only=True)
    assert best['meta']['epoch'] == entry['best_epoch']
    ingredient = torch.load(unbroken / f'ingredients/{BASE}.pth', weights_only=True)
    for key, value in best['state_dict'].items():
        assert torch.equal(ingredient['state_dict'][key], value)


def test_no_state_is_left_of_a_finished_trial(unbroken):
    assert not list(unbroken.glob('trials/*/state_epoch_*'))


@pytest.mark.parametrize(
    'moment',
    [
        ('probe', 1, 'training'),  # before there is any state
        (BASE, 2, 'training'),
        (BASE, 2, 'validation'),
        (BASE, 1, 'validated'),  # right after best.pth
        (BASE, 3, 'training'),  # while early stopping has been waiting
        (BASE, 3, 'validated'),  # early stopping has decided
        (BASE, 3, 'trained'),
        (FISSION, 1, 'validated'),  # right after a snapshot
        (FISSION, 2, 'training'),
        (FISSION, 3, 'validation'),
        (FISSION, 3, 'validated'),  # the last snapshot is there, the ledger says no
    ],
    ids=lambda m: '-'.join(map(str, m)),
)
def test_an_interrupted_plan_ends_bit_for_bit_like_an_unbroken_one(
    tmp_path, generation_config, unbroken, interrupt, moment
):
    interrupt.moment = moment
    with pytest.raises(KeyboardInterrupt):
        train(generation_config(tmp_path, **SHORT))
    before = ledger(tmp_path)
    assert before[moment[0]]['state'] == 'running'

    train(generation_config(tmp_path, **SHORT))
    assert digests(tmp_path) == digests(unbroken)
    origins = [
        read_json(f / 'ingredients.json')['origin'] for f in (tmp_path, unbroken)
    ]
    assert origins[0] == origins[1]
    after = ledger(tmp_path)
    for trial_id, entry in before.items():
        if entry['state'] == 'done':
            assert after[trial_id] == entry  # not run again
    for trial_id, entry in ledger(unbroken).items():
        # best.pth has MMEngine's log in it, with times.
        kept = {k: v for k, v in entry.items() if k not in ('seconds', 'best_file')}
        assert after[trial_id].items() >= kept.items()


def test_states_two_epochs_apart_and_many_interruptions(
    tmp_path, generation_config, unbroken, interrupt
):
    moments = [('probe', 1, 'validated'), (BASE, 2, 'validated'), (BASE, 3, 'training')]
    moments += [(FISSION, 2, 'training'), (FISSION, 3, 'trained')]
    for moment in moments:
        interrupt.moment = moment
        with pytest.raises(KeyboardInterrupt):
            train(generation_config(tmp_path, state_interval=2, **SHORT))
    train(generation_config(tmp_path, state_interval=2, **SHORT))
    assert digests(tmp_path) == digests(unbroken)


def test_a_finished_plan_is_not_run_again(tmp_path, generation_config, unbroken):
    before = read_json(unbroken / 'ledger.json')
    trials = {f: f.stat().st_mtime_ns for f in unbroken.glob('trials/**/*')}
    manifest = read_json(unbroken / 'ingredients.json')
    assert train(generation_config(unbroken, **SHORT)) == manifest
    assert read_json(unbroken / 'ledger.json') == before
    assert {f: f.stat().st_mtime_ns for f in unbroken.glob('trials/**/*')} == trials


def without_origin(work_dir):
    """A finished plan as an earlier version has left it."""
    shutil.rmtree(work_dir / 'origin')
    for name in ('ledger.json', 'ingredients.json', 'trials/probe/record.json'):
        content = read_json(work_dir / name)
        content.pop('origin', None)
        for entry in content.get('trials', []):
            entry.pop('origin', None)
        write_json(content, work_dir / name)


def test_a_plan_of_an_earlier_version_is_not_run_again(
    tmp_path, generation_config, unbroken
):
    old = shutil.copytree(unbroken, tmp_path / 'old')
    without_origin(old)
    before, files = read_json(old / 'ledger.json'), digests(old)
    manifest = train(generation_config(old, **SHORT))
    assert manifest['origin'] is None
    assert (read_json(old / 'ledger.json'), digests(old)) == (before, files)
    with pytest.raises(LedgerError, match=r'plan\.base\.epochs: 6 -> 7'):
        train(generation_config(old, **SHORT | dict(plan__base__epochs=7)))


def test_an_origin_that_was_lost_is_made_again(tmp_path, generation_config, unbroken):
    again = shutil.copytree(unbroken, tmp_path / 'again')
    (again / 'origin' / 'probe.pth').unlink()
    manifest = train(generation_config(again, **SHORT))
    assert digests(again) == digests(unbroken)
    assert manifest['origin'] == read_json(unbroken / 'ingredients.json')['origin']


def test_without_a_probe_the_origin_is_what_all_bases_have_started_from(
    tmp_path, generation_config, interrupt
):
    """Be they interrupted; with other seeds their heads are others."""
    short = SHORT | dict(plan__lrs=[1e-2, 1e-3], plan__fission=None)
    short['plan__base'] = dict(epochs=2)
    plan = generation_config(tmp_path / 'one', **short)
    plan.plan.probe = None
    interrupt.moment = (BASE, 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(plan)
    manifest = train(plan)
    origin = manifest['origin']
    file = tmp_path / 'one' / origin['file']
    assert [file] == list((tmp_path / 'one' / 'origin').iterdir())
    assert sha256(file) == origin['sha256']
    start = torch.load(file, weights_only=True)['state_dict']
    assert any(value.is_floating_point() for value in start.values())
    assert len(manifest['ingredients']) == 2

    plan.plan.lrs, plan.plan.seeds = [1e-2], [0, 1]
    plan.work_dir = str(tmp_path / 'two')
    manifest = train(plan)
    assert manifest['origin'] is None and len(manifest['ingredients']) == 2
    assert not (tmp_path / 'two' / 'origin').exists()


def test_the_same_plan_elsewhere_gives_the_same_bytes(
    tmp_path, generation_config, unbroken
):
    train(generation_config(tmp_path / 'else' / 'where', **SHORT))
    assert digests(tmp_path / 'else' / 'where') == digests(unbroken)


def test_a_changed_config_is_refused_with_the_key_and_both_values(
    generation_config, unbroken
):
    before = (unbroken / 'ledger.json').read_bytes()
    cfg = generation_config(unbroken, **SHORT | dict(plan__base__epochs=7))
    with pytest.raises(LedgerError, match=r'plan\.base\.epochs: 6 -> 7'):
        train(cfg)
    cfg = generation_config(unbroken, **SHORT, augmentation='minimal')
    with pytest.raises(LedgerError, match='augmentation: medium -> minimal'):
        train(cfg)
    assert (unbroken / 'ledger.json').read_bytes() == before


def test_how_much_is_logged_may_change_and_the_folder_may_move(
    tmp_path, generation_config, unbroken
):
    moved = tmp_path / 'moved'
    os.symlink(unbroken, moved)
    changes = dict(default_hooks__logger__interval=3, log_level='WARNING')
    manifest = train(generation_config(moved, **SHORT, **changes))
    assert manifest == read_json(unbroken / 'ingredients.json')


def test_a_config_without_a_plan_is_refused(tmp_path, generation_config):
    cfg = generation_config(tmp_path)
    cfg.pop('plan')
    with pytest.raises(ConfigError, match='needs a plan'):
        GenerationRunner.from_cfg(cfg)


LABELS = dict(type='MaskedMultiLabelClsHead', num_classes=10, in_channels=8)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(plan__lr=1e-3),
            r"plan: unknown key 'lr' \(did you mean 'lrs'\?\), there are \['lrs', ",
        ),
        (dict(plan__type='FGPlan'), 'FGPlan'),
        (dict(plan__augmentations=['minimal', 'maximal']), 'maximal'),
        # A minimum would not be validated.
        (dict(train_cfg__val_interval=2), 'val_interval'),
        (dict(state_interval='3 minutes'), "state_interval='3 minutes': expected"),
        (dict(cache_images=dict(size=6)), "cache_images: unknown key 'size'"),
        (dict(plan__base__monitor='macro_recal'), "'base_lr0.01'.*did you mean"),
        # The default rule, 'less', would keep the worst epoch.
        (dict(plan__base__monitor='macro_recall'), "'base_lr0.01'.*rule='greater'"),
        (dict(plan__probe__monitor='auroc'), "'probe': monitor='auroc' is not among"),
        (dict(selection__metric='macro_recal'), r'selection\.metric=.*did you mean'),
        (dict(selection__rule='less'), r"selection\.metric='accuracy': rule='less'"),
        (dict(selection=dict(metric='loss', _delete_=True)), 'rule=None'),
        (dict(val_evaluator=[dict(type='Nothing')]), 'val_evaluator: .*Nothing'),
        (dict(val_evaluator=None), 'give val_dataloader and val_evaluator'),
        (dict(train_dataloader=None), 'no train_dataloader'),
        (dict(model__head=dict(LABELS, _delete_=True)), 'one class an image'),
    ],
)
def test_a_mistake_is_found_out_before_training(
    tmp_path, generation_config, options, message
):
    with pytest.raises(ConfigError, match=message):
        train(generation_config(tmp_path, **SHORT, **options))
    assert not (tmp_path / 'ledger.json').exists()
    assert not list(tmp_path.glob('trials/*/best.pth'))


def test_a_stage_may_have_metrics_of_its_own(tmp_path, generation_config):
    overrides = dict(val_evaluator=[dict(type='CalibrationMetric')])
    probe = dict(epochs=1, freeze=False, monitor='ece', overrides=overrides)
    options = dict(plan__lrs=[1e-2], plan__probe=probe, plan__fission=None)
    options['plan__base'] = dict(epochs=1, _delete_=True)
    train(generation_config(tmp_path, **options))
    assert set(ledger(tmp_path)['probe']['metrics']) == {'brier', 'ece'}


def test_a_plan_needs_no_test_set(tmp_path, generation_config):
    options = dict(plan__base=dict(epochs=1, _delete_=True), plan__fission=None)
    options |= dict(plan__probe=None, plan__lrs=[1e-2], test_dataloader=None)
    assert train(generation_config(tmp_path, **options))['complete']


# Kills the process that imports it, without warning, as soon as it has written a file.
DEADLY = """
import os, signal

replace = os.replace

def replace_and_die(source, target, **options):
    replace(source, target, **options)
    if str(target) == os.environ['DEADLY_FILE']:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_die
"""


def run_until(path, command, folder):
    """Runs Python; it is killed once it has written the file."""
    (folder / 'sitecustomize.py').write_text(DEADLY)
    # As many threads as here: sums of floats depend on it.
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]),
        DEADLY_FILE=str(path),
    )
    process = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def test_kill_9_and_the_same_command_again(tmp_path, generation_config, tool):
    cfg = generation_config(tmp_path / 'reference', plan__lrs=[1e-2])
    cfg.dump(tmp_path / 'tiny.py')
    train(cfg)
    work_dir = tmp_path / 'killed'
    command = ['tools/train.py', str(tmp_path / 'tiny.py'), '--work-dir', str(work_dir)]
    (tmp_path / 'deadly').mkdir()
    best = work_dir / 'trials' / BASE / 'best.pth'
    run_until(best, command, tmp_path / 'deadly')
    assert ledger(work_dir)[BASE]['state'] == 'running'
    assert json.loads((work_dir / 'ledger.json').read_text())
    assert tool('train.py', *command[1:]) == 0
    assert digests(work_dir) == digests(tmp_path / 'reference')


def test_the_split_is_written_down_and_kept(unbroken):
    rows = (unbroken / 'splits.csv').read_text().splitlines()
    assert rows[0] == 'image,split,label,group'
    assert len(rows) == 1 + 3 * 40
    assert {row.split(',')[1] for row in rows[1:]} == {'train', 'val', 'test'}


def test_a_run_does_not_go_on_with_another_split(tmp_path, generation_config):
    cfg = generation_config(tmp_path, **SHORT)
    (tmp_path / 'splits.csv').write_text('image,split,label,group\n0,train,9,\n')
    with pytest.raises(DatasetError, match='not those with which this run began'):
        train(cfg)


def test_a_model_with_other_classes_than_the_data(tmp_path, generation_config):
    cfg = generation_config(tmp_path, data_preprocessor__num_classes=7)
    with pytest.raises(DatasetError, match='7 outputs, the data set 10 classes'):
        train(cfg)


@pytest.fixture(scope='module')
def files_config(tmp_path_factory, generation_config):
    """A function that gives the config of a plan on image files."""
    root = tmp_path_factory.mktemp('images')
    write_images(root, 80, (8, 16))
    load = dict(type='LoadImageFromFile')
    resize = dict(type='Resize', scale='${image_size}', backend='pillow')

    def dataset(name, split):
        folders = dict(type='FolderDataset', data_root=str(root), split=split)
        folders |= dict(pipeline=f'${{{name}_pipeline}}', shares=(3, 1, 0))
        return dict(folders, _delete_=True)

    def config(work_dir, **options):
        return generation_config(
            work_dir,
            **SHORT | options,
            train_pipeline=[
                load,
                '${augmentations.${augmentation}}',
                dict(type='PackInputs'),
            ],
            test_pipeline=[load, resize, dict(type='PackInputs')],
            train_dataloader__dataset=dataset('train', 'train'),
            val_dataloader__dataset=dataset('test', 'val'),
            test_dataloader=None,
        )

    return config


@pytest.fixture(scope='module')
def decoded_in_each_epoch(tmp_path_factory, files_config):
    """The work directory of a plan on image files without a cache."""
    work_dir = tmp_path_factory.mktemp('decoded')
    train(files_config(work_dir))
    return work_dir


@pytest.fixture
def decodings(monkeypatch):
    """Paths of all images that this process decodes."""
    paths = []
    load = LoadImageFromFile.transform

    def transform(self, results):
        paths.append(results['img_path'])
        return load(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', transform)
    return paths


def test_from_cached_images_come_the_same_ingredients(
    tmp_path, files_config, decoded_in_each_epoch, decodings, capsys
):
    train(files_config(tmp_path, cache_images=True))
    assert digests(tmp_path) == digests(decoded_in_each_epoch)
    # Once to estimate the room that is needed, once to decode.
    assert max(decodings.count(path) for path in decodings) == 2
    assert 'cache_images: 80 images, 0 MB in' in capsys.readouterr().out
    assert not (tmp_path / 'image_cache').exists()
    manifests = [f / 'ingredients.json' for f in (tmp_path, decoded_in_each_epoch)]
    first, second = (read_json(path)['validation'] for path in manifests)
    assert first == second


def test_trials_that_share_a_device_share_the_images(
    tmp_path, files_config, decoded_in_each_epoch, decodings, capsys
):
    train(files_config(tmp_path / 'shared', trials_per_device=2))
    assert digests(tmp_path / 'shared') == digests(decoded_in_each_epoch)
    assert max(decodings.count(path) for path in decodings) == 2
    assert 'note: trials_per_device=2 is for tools/train.py' in capsys.readouterr().out
    decodings.clear()
    apart = dict(trials_per_device=2, cache_images=False)
    train(files_config(tmp_path / 'apart', **apart))
    assert max(decodings.count(path) for path in decodings) > 2


def test_data_workers_share_cached_images(tmp_path, files_config):
    workers = {f'{n}_dataloader__num_workers': 2 for n in ('train', 'val')}
    workers |= dict(plan__probe=None, plan__fission=None)
    workers |= dict(plan__base=dict(epochs=1, _delete_=True))
    train(files_config(tmp_path / 'decoded', **workers))
    train(files_config(tmp_path / 'cached', **workers, cache_images=True))
    assert digests(tmp_path / 'cached') == digests(tmp_path / 'decoded')


def test_an_interrupted_plan_goes_on_with_its_cached_images(
    tmp_path, files_config, decoded_in_each_epoch, interrupt, decodings
):
    option = dict(dir=str(tmp_path / 'fast'))
    interrupt.moment = (BASE, 2, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(files_config(tmp_path / 'run', cache_images=option))
    assert list((tmp_path / 'fast').glob('*/*.npy'))
    decodings.clear()
    train(files_config(tmp_path / 'run', cache_images=option))
    assert digests(tmp_path / 'run') == digests(decoded_in_each_epoch)
    assert not decodings
    assert not list((tmp_path / 'fast').iterdir())


def test_caching_may_be_switched_on_and_off_between_runs(
    tmp_path, files_config, decoded_in_each_epoch, interrupt
):
    options = [{}, dict(cache_images=True), dict(cache_images=dict(dir=str(tmp_path)))]
    moments = [
        ('probe', 1, 'training'),
        (BASE, 2, 'training'),
        (FISSION, 2, 'training'),
    ]
    for option, moment in zip(options, moments, strict=True):
        interrupt.moment = moment
        with pytest.raises(KeyboardInterrupt):
            train(files_config(tmp_path / 'run', **option))
    train(files_config(tmp_path / 'run', cache_images=False))
    assert digests(tmp_path / 'run') == digests(decoded_in_each_epoch)
    assert not (tmp_path / 'run' / 'image_cache').exists()


def test_shrunk_images_are_another_plan(
    tmp_path, files_config, decoded_in_each_epoch, interrupt
):
    small = dict(cache_images=dict(short_side=6))
    interrupt.moment = (FISSION, 1, 'training')
    with pytest.raises(KeyboardInterrupt):
        train(files_config(tmp_path, **small))
    with pytest.raises(LedgerError, match='cache_images'):
        train(files_config(tmp_path))
    with pytest.raises(LedgerError, match='short_side: 6 -> 7'):
        train(files_config(tmp_path, cache_images=dict(short_side=7)))
    train(files_config(tmp_path, **small))
    assert digests(tmp_path) != digests(decoded_in_each_epoch)


def test_a_finished_plan_caches_nothing(decoded_in_each_epoch, files_config, decodings):
    train(files_config(decoded_in_each_epoch, cache_images=True))
    assert not decodings
    assert not (decoded_in_each_epoch / 'image_cache').exists()
