from __future__ import annotations

import sys
import warnings
from hashlib import md5
from types import SimpleNamespace

import numpy as np
import pytest
from array_files import SPLITS, medmnist_arrays
from mmpretrain.registry import DATASETS
from reading import values

from ff_mm.datasets import DatasetError, check_datasets, fingerprint
from ff_mm.datasets.files import npz
from ff_mm.datasets.medmnist import COLLECTIONS, MedMNIST

pytestmark = pytest.mark.filterwarnings('ignore:.*published are')


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder with nothing in it."""
    folder = tmp_path / 'home'
    folder.mkdir()
    monkeypatch.setenv('HOME', str(folder))
    monkeypatch.setenv('USERPROFILE', str(folder))
    return folder


@pytest.fixture
def pneumonia(tmp_path):
    arrays = medmnist_arrays(2, 28, 28)
    np.savez_compressed(tmp_path / 'pneumoniamnist.npz', **arrays)
    return arrays


def build(root, name='pneumoniamnist', **kwargs):
    config = dict(type='MedMNIST', name=name, data_root=str(root), **kwargs)
    return DATASETS.build(config)


def problem(root, **kwargs):
    with pytest.raises(DatasetError) as caught:
        build(root, **kwargs)
    (text,) = caught.value.problems
    return text


class TestReading:
    def test_official_splits(self, pneumonia, tmp_path):
        splits = {split: build(tmp_path, split=split) for split in SPLITS}
        assert [len(split) for split in splits.values()] == [6, 4, 2]
        for name, dataset in splits.items():
            labels = pneumonia[f'{name}_labels'][:, 0]
            assert values(dataset, 'gt_label') == labels.tolist()
            images = pneumonia[f'{name}_images']
            assert (np.stack(values(dataset, 'img')) == images[..., None]).all()
        assert len(build(tmp_path, split='all')) == 12
        assert splits['train'].CLASSES == ('normal', 'pneumonia')
        assert values(splits['val'], 'image_id')[1] == 'pneumoniamnist_val_00001'

    def test_colour_is_bgr(self, tmp_path):
        arrays = medmnist_arrays(8, 28, 28, 3)
        np.savez(tmp_path / 'bloodmnist.npz', **arrays)
        image = build(tmp_path, 'bloodmnist').get_data_info(2)['img']
        assert (image == arrays['train_images'][2][..., ::-1]).all()

    def test_several_labels(self, tmp_path):
        arrays = medmnist_arrays(2, 28, 28, labels=14)
        np.savez(tmp_path / 'chestmnist.npz', **arrays)
        dataset = build(tmp_path, 'chestmnist', pipeline=[dict(type='PackInputs')])
        scores = np.stack(values(dataset, 'gt_score'))
        assert scores.dtype == np.float32
        assert (scores == arrays['train_labels']).all()
        assert dataset[0]['data_samples'].gt_score.shape == (14,)
        assert 'gt_label' not in dataset.get_data_info(0)

    def test_size_names_the_file(self, tmp_path):
        np.savez(tmp_path / 'retinamnist_64.npz', **medmnist_arrays(5, 64, 64, 3))
        dataset = build(tmp_path, 'retinamnist', size=64)
        assert dataset.get_data_info(0)['img'].shape == (64, 64, 3)
        assert 'retinamnist.npz' in problem(tmp_path, name='retinamnist')

    def test_file_of_another_name(self, pneumonia, tmp_path):
        (tmp_path / 'pneumoniamnist.npz').rename(tmp_path / 'mine.npz')
        assert len(build(tmp_path, file='mine.npz')) == 6
        assert len(build('', file=str(tmp_path / 'mine.npz'))) == 6
        text = problem(tmp_path, file='absent.npz', download=True)
        assert 'absent.npz' in text and 'Check file and data_root' in text

    def test_home_of_medmnist(self, pneumonia, tmp_path, home):
        (home / '.medmnist').mkdir()
        file = tmp_path / 'pneumoniamnist.npz'
        file.rename(home / '.medmnist' / file.name)
        assert len(build(tmp_path / 'nowhere')) == 6
        assert len(MedMNIST('pneumoniamnist')) == 6
        # What lies in data_root comes first.
        np.savez(file, **{k: v[:1] for k, v in pneumonia.items()})
        assert len(build(tmp_path)) == 1

    def test_lists_with_and_without_the_name(self, pneumonia, tmp_path):
        lines = 'train_00004\npneumoniamnist_test_00001\n'
        (tmp_path / 'own.txt').write_text(lines)
        dataset = build(tmp_path, image_list='own.txt')
        ids = ['pneumoniamnist_train_00004', 'pneumoniamnist_test_00001']
        assert values(dataset, 'image_id') == ids
        (tmp_path / 'own.csv').write_text('image,split\ntest_00000,val\n')
        assert len(build(tmp_path, split='val', split_file='own.csv')) == 1

    def test_only_the_arrays_of_the_split_are_needed(self, pneumonia, tmp_path):
        val = {key: array for key, array in pneumonia.items() if 'val' in key}
        np.savez(tmp_path / 'pneumoniamnist.npz', **val)
        assert len(build(tmp_path, split='val')) == 4
        assert "no array 'train_labels' in it" in problem(tmp_path)

    def test_mapped_from_disk_it_is_the_same(self, pneumonia, tmp_path, monkeypatch):
        expected = fingerprint(build(tmp_path))
        monkeypatch.setattr(npz, 'LARGE', 1000)
        dataset = build(tmp_path, cache_dir=str(tmp_path / 'cache'))
        assert isinstance(dataset.open_images('pneumoniamnist_train').base, np.memmap)
        assert fingerprint(dataset) == expected
        # Labels are small.
        assert len(list((tmp_path / 'cache').iterdir())) == 1

    def test_a_run_is_free_of_leaks(self, pneumonia, tmp_path):
        config = dict(type='MedMNIST', name='pneumoniamnist', data_root=str(tmp_path))
        check_datasets({split: dict(config, split=split) for split in SPLITS})

    def test_another_of_them_out_of_distribution(self, tmp_path):
        for name in ('organamnist', 'organcmnist'):
            np.savez(tmp_path / f'{name}.npz', **medmnist_arrays(11, 28, 28))
        train = dict(type='MedMNIST', name='organamnist', data_root=str(tmp_path))
        check_datasets(dict(train=train, ood=dict(train, name='organcmnist')))

    def test_it_says_what_it_is(self, pneumonia, tmp_path):
        text = repr(build(tmp_path, split='val'))
        assert 'Name: \tpneumoniamnist, 28 pixels' in text and 'Split: \tval' in text


def test_the_table_agrees_with_the_medmnist_package():
    for name, info in pytest.importorskip('medmnist.info').INFO.items():
        if not name.endswith('3d'):
            published = COLLECTIONS[name]
            assert published.classes == tuple(info['label'].values())
            assert published.counts == tuple(info['n_samples'][s] for s in SPLITS)
            assert published.multilabel == ('multi-label' in info['task'])


class TestBadFiles:
    @pytest.mark.parametrize(
        'wrong', [dict(name='mnist'), dict(name='organmnist3d'), dict(size=32)]
    )
    def test_wrong_arguments(self, tmp_path, wrong):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} must be one of'):
            build(tmp_path, **wrong)

    def test_nothing_there(self, tmp_path):
        text = problem(tmp_path, size=224)
        assert str(tmp_path / 'pneumoniamnist_224.npz') in text
        assert 'zenodo.10519652' in text and 'download=True' in text
        assert '\n' not in text

    def test_no_npz(self, tmp_path):
        (tmp_path / 'pneumoniamnist.npz').write_text('<html>')
        assert 'cannot be read' in problem(tmp_path)

    def test_labels_of_another_collection(self, tmp_path):
        arrays = medmnist_arrays(2, 28, 28, labels=14)
        np.savez(tmp_path / 'pneumoniamnist.npz', **arrays)
        assert 'labels are uint8 of shape (6, 14), not (number, 1)' in problem(tmp_path)

    def test_a_copy_that_was_cut_down_is_noticed(self, pneumonia, tmp_path):
        with pytest.warns(UserWarning, match='6 images in train, published are 4708'):
            build(tmp_path)
        counts = dict(zip(SPLITS, COLLECTIONS['breastmnist'].counts, strict=True))
        whole = {
            f'{s}_images': np.zeros((n, 1, 1), np.uint8) for s, n in counts.items()
        }
        whole |= {f'{s}_labels': np.zeros((n, 1), int) for s, n in counts.items()}
        np.savez(tmp_path / 'breastmnist.npz', **whole)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert len(build(tmp_path, 'breastmnist', split='all')) == 780


class TestDownload:
    @pytest.fixture
    def server(self, pneumonia, tmp_path, monkeypatch):
        """A file in place of the server, of which a package medmnist knows."""
        file = tmp_path / 'pneumoniamnist.npz'
        info = dict(url=file.as_uri(), MD5=md5(file.read_bytes()).hexdigest())
        module = SimpleNamespace(INFO={'pneumoniamnist': info})
        monkeypatch.setitem(sys.modules, 'medmnist', SimpleNamespace(info=module))
        monkeypatch.setitem(sys.modules, 'medmnist.info', module)
        return file

    def test_into_data_root(self, server, tmp_path):
        root = tmp_path / 'new' / 'folder'
        assert len(build(root, download=True)) == 6
        server.unlink()
        assert len(build(root, download=True)) == 6

    def test_by_default_into_the_home_of_medmnist(self, server, home):
        assert len(MedMNIST('pneumoniamnist', download=True)) == 6
        assert (home / '.medmnist' / 'pneumoniamnist.npz').is_file()

    def test_no_network(self, server, tmp_path):
        server.unlink()
        text = problem(tmp_path / 'new', download=True)
        assert 'pneumoniamnist.npz could not be downloaded' in text

    @pytest.mark.parametrize('size', [28, 64])
    def test_medmnist_absent_or_too_old(self, server, tmp_path, monkeypatch, size):
        if size == 28:
            monkeypatch.setitem(sys.modules, 'medmnist.info', None)
        text = problem(tmp_path / 'new', size=size, download=True)
        assert 'pip install -U medmnist' in text
