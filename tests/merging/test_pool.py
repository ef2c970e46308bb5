from __future__ import annotations

import json
import shutil

import pytest
import torch
from manifests import VALIDATION, ingredient, write_manifest
from safetensors.torch import save_file

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import CheckpointError, check_ingredients, checkpoint_file
from ff_mm.merging.manifest import Validation
from ff_mm.merging.pool import read_pool


def a_function():
    """Nothing that weights are read with may find and run."""


def weights(value):
    return dict(weight=torch.full((2,), float(value)))


@pytest.fixture
def manifest(tmp_path):
    """ingredients.json of two ingredients, as fission leaves it."""
    return write_manifest(tmp_path / 'run')[0]


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_manifest_is_read_from_wherever_its_folder_lies(manifest, tmp_path):
    shutil.move(manifest.parent, tmp_path / 'moved')
    pool = read_pool(str(tmp_path / 'moved' / 'ingredients.json'))
    pool.check_files()
    assert [entry.name for entry in pool.entries] == ['a', 'b']
    assert pool.cost['epochs'] == 9 and pool.complete
    b = pool.entries[1]
    assert b.hyper == dict(lr=1e-3, stage='fission', cycle=3, parent='a')
    loaded = b.ingredient('accuracy', VALIDATION).load()
    assert torch.equal(loaded['weight'], torch.full((2,), 2.0))


@pytest.fixture
def with_origin(manifest):
    """The manifest, of which both ingredients come from one probe."""
    file = manifest.parent / 'origin' / 'probe.pth'
    entry = ingredient(file, 9, name='probe', stage='probe')
    entry['file'] = f'origin/{entry["file"]}'
    rewrite(manifest, lambda c: c.update(origin=entry))
    return manifest


def test_the_origin_is_no_ingredient(with_origin):
    pool = read_pool(str(with_origin))
    pool.check()
    assert [entry.name for entry in pool.entries] == ['a', 'b']
    assert pool.origin.name == 'probe'
    origin = pool.origin.ingredient('accuracy', None).load()
    assert torch.equal(origin['weight'], torch.full((2,), 9.0))


@pytest.mark.parametrize('content', [{}, dict(origin=None)])
def test_a_manifest_without_an_origin_is_read(manifest, content):
    rewrite(manifest, lambda c: c.update(content))
    pool = read_pool(str(manifest))
    pool.check()
    assert pool.origin is None


def test_the_configs_origin_wins(with_origin, checkpoints):
    file = checkpoints / 'x' / 'best.pth'
    for source in (str(with_origin), [str(checkpoints / 'y' / '*.pth')]):
        pool = read_pool(source, origin=str(file))
        pool.check()
        assert (pool.origin.name, pool.origin.file) == ('origin', file)
    assert read_pool(str(checkpoints / 'y' / '*.pth')).origin is None


def test_pools_have_an_origin_in_common_or_none(with_origin, checkpoints, tmp_path):
    shutil.copytree(with_origin.parent, tmp_path / 'again')
    again = tmp_path / 'again' / 'ingredients.json'
    both = [str(with_origin), str(again)]
    assert read_pool(both).origin.file == read_pool(str(with_origin)).origin.file
    rewrite(again, lambda c: c['origin'].update(sha256='0' * 64))
    assert read_pool(both).origin is None
    files = str(checkpoints / 'x' / '*.pth')
    assert read_pool([str(with_origin), files]).origin is None


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(file='../x.pth'), "'probe'.*leaves the manifest's folder"),
        (dict(file='/x.pth'), "'probe'.*absolute path"),
        (dict(sha256='0' * 64), r'probe\.pth: is not the file that was recorded'),
        (dict(file='ingredients/x.pth'), r'x\.pth: no such file'),
        (dict(file='ingredients.json'), 'sha256 differs'),
        (dict(name='\x1b[2J'), 'origin: name: expected a text'),
        (dict(metrics=3), 'origin: metrics: expected numbers'),
    ],
    ids=str,
)
def test_a_manifests_origin_is_checked_like_an_ingredient(with_origin, change, message):
    rewrite(with_origin, lambda c: c['origin'].update(change))
    with pytest.raises(FFMMError, match=message) as caught:
        read_pool(str(with_origin)).check()
    assert '\n' not in str(caught.value)


def another_network(path):
    torch.save(dict(state_dict=dict(weight=torch.ones(3), more=torch.ones(1))), path)


def diverged(path):
    torch.save(dict(state_dict=weights(float('nan'))), path)


def overflown(path):
    torch.save(dict(state_dict=weights(float('inf'))), path)


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (another_network, r'has extra keys \(1\).*weight \(3,\) instead of \(2,\)'),
        (diverged, "'weight' is NaN somewhere: this model has diverged"),
        (overflown, "'weight' is infinite somewhere: this model has diverged"),
        (lambda path: path.write_bytes(b'PK'), 'truncated|damaged|not a checkpoint'),
        (lambda path: torch.save(dict(x=a_function), path), 'not allow|refused|run'),
        (lambda path: path.mkdir(), 'no such file'),
    ],
    ids=['network', 'NaN', 'infinite', 'cut short', 'code', 'folder'],
)
def test_an_origin_that_cannot_be_one_is_a_line_that_names_it(manifest, write, message):
    file = manifest.parent / 'origin.pth'
    write(file)
    with pytest.raises(FFMMError, match=message) as caught:
        read_pool(str(manifest), origin=str(file)).check()
    assert str(file) in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('origin', ['absent.pth', 3, ['a.pth'], dict(file='a.pth')])
def test_an_origin_that_is_no_file_is_refused_at_once(manifest, origin):
    with pytest.raises(ConfigError, match=r'origin=.*: no such file; expected'):
        read_pool(str(manifest), origin=origin)


def test_recorded_metrics_count_only_on_the_same_validation_set(manifest):
    entry = read_pool(str(manifest)).entries[1]
    assert entry.ingredient('accuracy', VALIDATION).score == 0.2
    assert entry.ingredient('accuracy', Validation('other')).score is None
    assert entry.ingredient('accuracy', None).score is None
    assert entry.ingredient('auroc', VALIDATION).score is None


def test_a_manifest_that_says_its_images_is_of_no_others(manifest):
    content = json.loads(manifest.read_text())
    content['validation']['images'] = 'i1'
    manifest.write_text(json.dumps(content))
    entry = read_pool(str(manifest)).entries[1]
    for images, score in (('i1', 0.2), ('i2', None), (None, 0.2)):
        today = Validation('f00', images)
        assert entry.ingredient('accuracy', today).score == score


def test_an_unfinished_generation_says_so(manifest):
    rewrite(manifest, lambda c: c.update(complete=False))
    assert not read_pool(str(manifest)).complete


def test_a_changed_and_a_missing_file_are_both_named(manifest):
    folder = manifest.parent / 'ingredients'
    (folder / 'a.pth').unlink()
    ingredient(folder / 'b.pth', 5, name='b')
    pool = read_pool(str(manifest))
    with pytest.raises(CheckpointError) as caught:
        pool.check_files()
    first, second = str(caught.value).splitlines()
    assert 'a.pth: no such file' in first
    assert 'b.pth: is not the file that was recorded' in second


def test_all_wrong_files_of_many_are_named_in_order(tmp_path):
    entries = [ingredient(tmp_path / f'{i:02}.pth', i, name=str(i)) for i in range(30)]
    content = dict(validation=dict(fingerprint='f00'), ingredients=entries)
    (tmp_path / 'ingredients.json').write_text(json.dumps(content))
    pool = read_pool(str(tmp_path / 'ingredients.json'))
    pool.check_files()
    wrong = [3, 17, 18, 29]
    for i in wrong:
        ingredient(tmp_path / f'{i:02}.pth', 99, name=str(i))
    with pytest.raises(CheckpointError) as caught:
        pool.check_files()
    lines = str(caught.value).splitlines()
    assert [f'{i:02}.pth' in line for i, line in zip(wrong, lines, strict=True)]
    assert all('sha256 differs' in line for line in lines)


def test_files_that_are_named_one_by_one_are_unpickled_once(checkpoints, monkeypatch):
    read = []
    real = checkpoint_file.read_checkpoint

    def spy(path, **options):
        read.append(path.name)
        return real(path, **options)

    monkeypatch.setattr(checkpoint_file, 'read_checkpoint', spy)
    pool = read_pool([str(checkpoints / '**' / '*.pth')])
    ingredients = [entry.ingredient('accuracy', None) for entry in pool.entries]
    check_ingredients(ingredients)
    for made, entry in zip(ingredients, pool.entries, strict=True):
        assert made.load()['weight'].shape == (2,)
        assert made.file == str(entry.file)
        assert entry.checkpoint.meta == {}
    assert sorted(read) == ['best.pth', 'last.pth', 'last.pth']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.update(ingredients=[]), 'holds no ingredients yet'),
        (lambda c: c.pop('validation'), 'is not a manifest'),
        (lambda c: c['ingredients'][0].pop('sha256'), 'is not a manifest'),
        (lambda c: c['ingredients'].append(3), 'is not a manifest'),
        (lambda c: c['ingredients'][0].update(file=3), 'is not a manifest'),
    ],
)
def test_a_damaged_manifest_is_one_clear_error(manifest, change, message):
    rewrite(manifest, change)
    with pytest.raises(FFMMError, match=message):
        read_pool(str(manifest))


def test_a_manifest_cut_short_is_one_clear_error(manifest):
    manifest.write_text(manifest.read_text()[:100])
    with pytest.raises(FFMMError, match=r'ingredients\.json'):
        read_pool(str(manifest))


def test_no_manifest_yet_says_what_to_run_first(tmp_path):
    with pytest.raises(ConfigError, match=r'run the generation first'):
        read_pool(str(tmp_path / 'ingredients.json'))


@pytest.fixture
def checkpoints(tmp_path):
    """Plain checkpoints: x/last.pth, x/best.pth, y/last.pth."""
    for i, name in enumerate(['x/last', 'x/best', 'y/last']):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        torch.save(dict(state_dict=weights(i)), tmp_path / f'{name}.pth')
    return tmp_path


def test_a_pattern_takes_all_files_in_order_and_tells_equal_names_apart(checkpoints):
    pool = read_pool(str(checkpoints / '**' / '*.pth'))
    assert [e.name for e in pool.entries] == ['best', 'x/last', 'y/last']
    assert pool.entries[0].ingredient('accuracy', VALIDATION).score is None


def test_hyper_parameters_are_given_by_hand(checkpoints):
    sources = [
        dict(file=str(checkpoints / 'x' / '*.pth'), lr=1e-4, augmentation='heavy'),
        dict(file=str(checkpoints / 'y' / 'last.pth'), lr=1e-5, name='mine'),
    ]
    entries = {entry.name: entry.hyper for entry in read_pool(sources).entries}
    assert entries == dict(
        best=dict(lr=1e-4, augmentation='heavy'),
        last=dict(lr=1e-4, augmentation='heavy'),
        mine=dict(lr=1e-5),
    )


def test_an_ingredients_own_file_knows_its_hyper_parameters(manifest):
    path = str(manifest.parent / 'ingredients' / 'b.pth')
    (entry,) = read_pool(path).entries
    assert entry.hyper == dict(lr=1e-3, stage='fission', cycle=3, parent='a')
    (entry,) = read_pool(dict(file=path, lr=5)).entries
    assert entry.hyper['lr'] == 5


def test_manifests_and_files_mix(manifest, checkpoints):
    pool = read_pool([str(manifest), str(checkpoints / 'x' / 'best.pth')])
    assert [entry.name for entry in pool.entries] == ['a', 'b', 'best']


def test_one_file_given_twice_is_an_error(checkpoints):
    pool = read_pool([str(checkpoints / 'x/best.pth'), str(checkpoints / 'x/b*.pth')])
    with pytest.raises(FFMMError, match='best: 2 ingredients have this name'):
        check_ingredients(entry.ingredient('loss', None) for entry in pool.entries)


def test_names_are_distinct_however_deep_the_folders_differ(tmp_path):
    for run in ('one', 'two'):
        (tmp_path / run / 'last').mkdir(parents=True)
        torch.save(dict(state_dict=weights(0)), tmp_path / run / 'last' / 'best.pth')
    pool = read_pool(str(tmp_path / '*' / 'last' / 'best.pth'))
    assert len({entry.name for entry in pool.entries}) == 2


@pytest.mark.parametrize('source', ['nothing/*.pth', 'nothing.pth', ['nothing.pth']])
def test_a_pattern_that_fits_no_file_is_an_error(source):
    with pytest.raises(ConfigError, match=r"'nothing.*fits no file"):
        read_pool(source)


@pytest.mark.parametrize('source', [3, None, [], [3], dict(lr=1), dict(file=3), ''])
def test_what_is_no_source_is_an_error(source):
    with pytest.raises(ConfigError, match='ingredients'):
        read_pool(source)


def test_several_files_cannot_all_have_one_name(checkpoints):
    with pytest.raises(ConfigError, match='fits 2 files'):
        read_pool(dict(file=str(checkpoints / 'x' / '*.pth'), name='x'))


def test_copies_are_found_by_their_weights_alone(tmp_path):
    same = dict(backbone=torch.ones(200, 3), bias=torch.zeros(2))
    late = dict(same, backbone=torch.ones(200, 3).index_fill(0, torch.tensor(199), 2))
    files = dict(
        a=dict(state_dict=same, meta=dict(epoch=2)),
        b=dict(state_dict=late),
        c=dict(state_dict=same, meta=dict(epoch=3), optimizer=dict(lr=0.1)),
        d=dict(state_dict={k: v.double() for k, v in same.items()}),
        e=late,
    )
    for name, content in files.items():
        torch.save(content, tmp_path / f'{name}.pth')
    pool = read_pool(str(tmp_path / '*.pth'))
    copies = pool.find_copies()
    assert copies == dict(c='a', e='b')
    left = pool.without_copies(copies)
    assert [entry.name for entry in left.entries] == ['a', 'b', 'd']
    assert left.copies == (('c', 'a'), ('e', 'b'))


def test_half_floats_of_a_pool_are_cast_and_that_is_said_once(tmp_path):
    for name in 'abc':
        half = {key: value.bfloat16() for key, value in weights(2).items()}
        torch.save(half, tmp_path / f'{name}.pth')
    torch.save(weights(3), tmp_path / 'd.pth')
    pool = read_pool(str(tmp_path / '*.pth'))
    pool.check()
    assert pool.notes() == [
        'a (one of 3): 1 weights of torch.bfloat16 are cast to float32'
    ]
    for entry in pool.entries:
        made = entry.ingredient('accuracy', None)
        for found in (made.load(), made.in_passing(), made.outline()):
            assert found['weight'].dtype == torch.float32


def test_the_entry_of_a_file_that_is_meant_can_be_given(tmp_path):
    file = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=weights(1), state_dict_ema=weights(2)), file)
    raw, ema = read_pool([file, dict(file=file, entry='state_dict_ema', lr=1)]).entries
    assert ema.hyper == dict(lr=1)
    for entry, value in ((raw, 1.0), (ema, 2.0)):
        assert entry.ingredient('accuracy', None).load()['weight'][0] == value
    assert read_pool(file).notes() == [
        "a: the weights are those of 'state_dict', not of 'state_dict_ema' "
        "(entry='state_dict_ema' takes it)"
    ]
    with pytest.raises(CheckpointError, match=r"a\.pth: no entry='ema'"):
        read_pool(dict(file=file, entry='ema'))
    with pytest.raises(ConfigError, match=r'entry=3 of .*expected the name'):
        read_pool(dict(file=file, entry=3))


def test_the_file_that_is_literally_called_so_is_the_ingredient(tmp_path):
    for folder, value in (('run[1]', 1), ('run1', 2)):
        (tmp_path / folder).mkdir()
        torch.save(weights(value), tmp_path / folder / 'best.pth')
    for pattern in ('run[1]/best.pth', 'run[1]/*.pth'):
        (entry,) = read_pool(str(tmp_path / pattern)).entries
        assert entry.file == tmp_path / 'run[1]' / 'best.pth'


def test_safetensors_under_any_name_are_ingredients(tmp_path):
    for name in ('a.pth', 'b.safetensors'):
        save_file(weights(2), tmp_path / name)
    pool = read_pool([str(tmp_path / 'a.pth'), str(tmp_path / 'b.safetensors')])
    pool.check()
    for entry in pool.entries:
        assert entry.ingredient('accuracy', None).load()['weight'][0] == 2.0
    (tmp_path / 'a.pth').write_bytes((tmp_path / 'a.pth').read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r'a\.pth: damaged'):
        read_pool(str(tmp_path / 'a.pth'))


def test_a_variance_that_is_negative_is_refused(tmp_path):
    file = tmp_path / 'a.pth'
    torch.save({'bn.running_var': torch.tensor([1.0, -1.0])}, file)
    with pytest.raises(CheckpointError, match=r"a\.pth: 'bn\.running_var' is negative"):
        read_pool(str(file)).check_files()
