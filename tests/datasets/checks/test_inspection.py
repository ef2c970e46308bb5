from __future__ import annotations

import io
import json
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from dicom_files import make_dicom
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from rich.console import Console

from ff_mm.config import load_config
from ff_mm.datasets.checks.check import check_datasets
from ff_mm.datasets.checks.inspection import dataset_configs, inspect_datasets
from ff_mm.errors import ConfigError
from ff_mm.files import read_json, write_json

CLASSES = ('cat', 'dog', 'owl')


@DATASETS.register_module()
class Listed(BaseDataset):
    """Images of which a test says everything."""

    METAINFO: ClassVar[dict] = dict(classes=CLASSES)

    def __init__(self, infos: list[dict], **kwargs: object) -> None:
        self.infos = infos
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        return [dict(info) for info in self.infos]


@pytest.fixture
def image(tmp_path):
    """A function that writes an image; equal numbers are equal pixels."""

    def write(name: str, number: int) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        cv2.imwrite(str(path), rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        return str(path)

    return write


def inspect(decode=True, workers=1, pipeline=(), **sets):
    configs = {
        name: infos
        if isinstance(infos, dict)
        else dict(type='Listed', infos=infos, pipeline=list(pipeline))
        for name, infos in sets.items()
    }
    silent = Console(file=io.StringIO())
    return inspect_datasets(configs, workers, decode, silent)


def case(path, label=0, **more):
    return dict(img_path=path, gt_label=label, **more)


def test_a_head_that_does_not_fit_is_a_problem_as_in_training(image):
    train = [case(image(f'{n}.png', n), n % 3) for n in range(3)]
    configs = dict(train=dict(type='Listed', infos=train, pipeline=[]))
    silent = Console(file=io.StringIO())
    for outputs, problems in ((3, 0), (5, 1)):
        head = dict(type='LinearClsHead', num_classes=outputs, in_channels=8)
        found = inspect_datasets(configs, console=silent, head=head).problems
        assert len(found) == problems
    assert 'the model has 5 outputs, the data set 3 classes (cat, dog, owl)' in found[0]


class TestCounts:
    def test_sound_data(self, image):
        train = [case(image(f'{n}.png', n), n % 3, group=n // 2) for n in range(6)]
        val = [case(image(f'{n}.jpg', n), n % 3, group=n) for n in range(6, 9)]
        found = inspect(train=train, val=val)
        assert found.problems == found.notes == ()
        assert found.sets['train'].labels.positive.tolist() == [2, 2, 2]
        assert len(found.sets['train'].groups) == 3
        assert found.sets['val'].sizes.tolist() == [[6, 8]] * 3
        assert found.sets['val'].channels == dict(RGB=3)

    def test_what_scores_cannot_be_computed_of(self, image):
        path = image('1.png', 1)
        val = [dict(img_path=path, gt_score=[1, 0, -1])]
        found = inspect(val=val, test=[case(image('2.png', 2), 1)])
        assert [note.split('. ')[0] for note in found.notes] == [
            'labels without a positive in val: 2 (dog, owl)',
            'labels without a negative in val: 2 (cat, owl)',
            'classes without an image in test: 2 (cat, owl)',
        ]

    def test_impossible_labels(self, image):
        three, nine = image('3.png', 3), image('9.png', 9)
        found = inspect(
            train=[case(image(f'{n}.png', n), n) for n in range(4)],
            val=[dict(img_path=nine, gt_score=[1, 0, float('nan')])],
        )
        assert found.problems == (
            f'images of train with an impossible label: 1 ({three}). Expected is a '
            'class from 0 to 2.',
            f'images of val with an impossible label: 1 ({nine}). Expected is 3 '
            'labels, each from 0 to 1, or -1: missing.',
        )

    def test_unlabelled_test_images(self, image):
        found = inspect(test=[dict(img_path=image('1.png', 1))])
        assert found.problems == found.notes == ()
        assert found.sets['test'].labels.unlabelled == 1

    def test_images_in_memory(self):
        digits = {split: dict(type='Digits', split=split) for split in ('train', 'val')}
        found = inspect(**digits)
        assert found.problems == ()
        assert (
            found.sets['train'].labels.images == len(found.sets['train'].files) == 359
        )
        assert found.sets['val'].channels == dict(grey=719)

    def test_a_wrapped_data_set_counts_as_it_trains(self, image):
        inner = dict(type='mmpretrain.Listed', infos=[case(image('1.png', 1))])
        found = inspect(train=dict(type='RepeatDataset', times=3, dataset=inner))
        assert found.sets['train'].labels.positive.tolist() == [3, 0, 0]
        assert len(found.sets['train'].files) == 1
        (note,) = (note for note in found.notes if 'more than once' in note)
        assert '1.png 3 times' in note


class TestFiles:
    def test_missing_and_unreadable(self, image, tmp_path):
        cut = Path(image('cut.png', 1))
        cut.write_bytes(cut.read_bytes()[:-30])
        (tmp_path / 'page.jpg').write_text('<html>')
        found = inspect(
            train=[case(image('1.png', 1)), case(str(tmp_path / 'gone.png'))],
            val=[case(str(cut)), case(str(tmp_path / 'page.jpg'))],
        )
        missing, unreadable = found.problems
        assert missing.startswith('images of train without a file: 1 (')
        assert 'gone.png' in missing
        assert unreadable.startswith('images of val that cannot be read: 2 (')
        assert 'cut.png: image file is truncated' in unreadable
        assert 'page.jpg: failed to load image' in unreadable

    def test_without_decoding_only_missing_files_are_found(self, image, tmp_path):
        (tmp_path / 'page.jpg').write_text('<html>')
        train = [case(str(tmp_path / 'gone.png')), case(str(tmp_path / 'page.jpg'))]
        found = inspect(train=train, decode=False)
        (missing,) = found.problems
        assert 'without a file: 1' in missing

    def test_read_by_the_loading_step_of_the_pipeline(self, tmp_path):
        (tmp_path / 'x.dcm').write_bytes(make_dicom(np.eye(5, dtype=np.uint8)))
        train = [case(str(tmp_path / 'x.dcm'))]
        steps = [dict(type='LoadDICOM'), dict(type='Resize', scale=4)]
        assert inspect(train=train, pipeline=steps).problems == ()
        steps[0] = dict(type='LoadImageFromFile')
        (problem,) = inspect(train=train, pipeline=steps).problems
        assert 'x.dcm' in problem and 'load.0.type=LoadDICOM' in problem

    def test_a_data_set_that_cannot_be_read_leaves_the_others(self, image, dataverse):
        ham = dict(type='HAM10000', data_root=str(dataverse / 'absent'))
        found = inspect(train=[case(image('1.png', 1))], test=ham)
        (problem,) = found.problems
        assert problem.startswith('test, HAM10000 in') and 'no such folder' in problem
        assert list(found.sets) == ['train']

    def test_several_workers_find_the_same(self, image, tmp_path):
        train = [case(image(f'{n}.png', n % 30), n % 3) for n in range(40)]
        train.append(case(str(tmp_path / 'gone.png')))
        one, two = (inspect(train=train, workers=n).as_dict() for n in (1, 2))
        del one['seconds'], two['seconds']
        assert one == two and one['duplicates'] and one['problems']


class TestDuplicates:
    def test_between_train_and_another_set(self, image):
        train = [case(image('a.png', 1)), case(image('b.png', 2))]
        val = [case(image('c.bmp', 1)), case(image('d.png', 3))]
        found = inspect(train=train, val=val)
        (problem,) = found.problems
        assert problem.startswith(
            'images of val with the content of another one of train: 1 ('
        )
        assert 'c.bmp = ' in problem and 'a.png' in problem
        (equal,) = found.duplicates
        assert [entry.set_name for entry in equal] == ['train', 'val']

    def test_by_bytes_another_format_is_another_content(self, image):
        train, val = [case(image('a.png', 1))], [case(image('c.bmp', 1))]
        found = inspect(train=train, val=val, decode=False)
        assert found.compared_by == 'bytes' and found.problems == ()
        val = [case(image('c.png', 1))]
        assert len(inspect(train=train, val=val, decode=False).problems) == 1

    def test_within_a_set_and_between_evaluation_sets_are_notes(self, image):
        train = [case(image(f'{name}.png', 1)) for name in 'abc']
        val, test = [case(image('d.png', 2))], [case(image('e.png', 2))]
        found = inspect(train=train, val=val, test=test)
        assert found.problems == ()
        within, between = (n for n in found.notes if 'content' in n)
        assert within.startswith('contents that several images of train have: 1 (')
        assert within.count(' = ') == 2
        assert between.startswith(
            'images of test with the content of another one of val: 1 ('
        )

    def test_one_file_in_two_sets_is_no_duplicate_but_a_leak(self, image):
        same = [case(image('a.png', 1))]
        found = inspect(train=same, val=same)
        (problem,) = found.problems
        assert problem.startswith('images of train that are also in val: 1 (')
        assert found.duplicates == []

    def test_a_file_and_its_copy_in_the_other_set(self, image):
        a, b = image('a.png', 1), image('b.png', 1)
        found = inspect(val=[case(a)], test=[case(a), case(b)])
        (note,) = (n for n in found.notes if 'of another one of val' in n)
        assert ': 1 (' in note and 'b.png = ' in note

    def test_images_in_memory(self):
        pixels = np.zeros((4, 4, 3), dtype=np.uint8)
        train = [dict(img=pixels, gt_label=0), dict(img=pixels + 1, gt_label=0)]
        val = [dict(img=pixels + 1, gt_label=0)]
        (problem,) = inspect(train=train, val=val).problems
        assert '(val[0] = train[1])' in problem


class TestConflicts:
    def conflict(self, *infos, **sets):
        found = inspect(train=list(infos), **sets)
        texts = [p for p in found.problems if 'different labels' in p]
        return texts[0] if texts else None

    def test_equal_images_of_different_classes(self, image):
        text = self.conflict(
            case(image('a.png', 1), 0, image_id='a'),
            case(image('b.png', 1), 2, image_id='b'),
        )
        assert text.startswith('equal images with different labels: 1 (')
        assert 'a (train: cat) = b (train: owl)' in text

    def test_the_same_file_with_two_labels(self, image):
        path = image('a.png', 1)
        assert '(train: cat) = ' in self.conflict(case(path, 0), case(path, 1))

    def test_across_data_sets(self, image):
        text = self.conflict(
            case(image('a.png', 1), 0), ood=[case(image('b.png', 1), 1)]
        )
        assert '(train: cat) = ' in text and '(ood: dog)' in text

    def test_equal_labels_are_none(self, image):
        assert not self.conflict(case(image('a.png', 1)), case(image('b.png', 1)))

    def test_a_missing_label_differs_from_none(self, image):
        a, b = image('a.png', 1), image('b.png', 1)
        first = dict(img_path=a, gt_score=[1, -1, 0])
        assert not self.conflict(first, dict(img_path=b, gt_score=[-1, 1, 0]))
        text = self.conflict(first, dict(img_path=b, gt_score=[1, -1, 1]))
        assert 'a.png (train: owl 0) = ' in text and 'b.png (train: owl 1)' in text


class TestOverlaps:
    def test_groups_of_train_are_problems_others_are_notes(self, image):
        def one(number, group):
            return [case(image(f'{number}.png', number), group=group)]

        found = inspect(train=one(1, 'p'), val=one(2, 'p'), test=one(3, 'p'))
        assert [problem.split('. ')[0] for problem in found.problems] == [
            'groups (lesions, patients) of train that are also in val: 1 (p)',
            'groups (lesions, patients) of train that are also in test: 1 (p)',
        ]
        notes = [note for note in found.notes if 'groups' in note]
        assert notes == [
            'groups (lesions, patients) in both val and test: 1 (p). The results on '
            'the two are not independent.'
        ]
        assert found.overlaps['train', 'val'].groups == ['p']

    def test_classes_that_differ(self, image):
        other = dict(
            type='Listed',
            infos=[case(image('2.png', 2))],
            metainfo=dict(classes=CLASSES[::-1]),
        )
        (problem,) = inspect(train=[case(image('1.png', 1))], val=other).problems
        assert 'classes differ' in problem


def test_all_of_it_as_json(image, tmp_path):
    scores = [[1.0, 0.0, -1.0], [0.0, 0.0, 1.0]]
    found = inspect(
        train=[case(image('a.png', 1), 0, group='p'), case(image('b.png', 1), 1)],
        val=[
            dict(img_path=image(f'v{n}.png', 5 + n), gt_score=np.float32(s))
            for n, s in enumerate(scores)
        ],
        test=[case(str(tmp_path / 'gone.png'), group='p')],
    )
    write_json(found.as_dict(), tmp_path / 'found.json')
    data = read_json(tmp_path / 'found.json')
    assert json.dumps(data, allow_nan=False)
    train, val, test = (data['sets'][name] for name in ('train', 'val', 'test'))
    assert train['classes'] == dict(cat=1, dog=1, owl=0) and train['groups'] == 1
    assert train['sides']['short'] == dict(min=6, median=6, max=6)
    assert val['classes']['owl'] == dict(positive=1, negative=0, missing=1)
    assert test['missing'] == [str(tmp_path / 'gone.png')] and test['sides'] is None
    assert [[e['set'] for e in equal] for equal in data['duplicates']] == [
        ['train', 'train']
    ]
    shared = {tuple(pair['sets']): pair['groups'] for pair in data['overlaps']}
    assert shared['train', 'test'] == ['p'] and shared['train', 'val'] == []
    assert len(data['problems']) == len(found.problems) == 3


class TestDatasetConfigs:
    def test_all_that_a_config_names(self, generation_config, tmp_path):
        configs = dataset_configs(generation_config(tmp_path))
        assert list(configs) == ['train', 'val', 'test', 'corrupted']
        # What the out-of-distribution set does not say is as in the test set.
        assert configs['corrupted']['split'] == 'test'

    def test_none(self, tmp_path):
        (tmp_path / 'c.py').write_text('train_dataloader = None')
        with pytest.raises(ConfigError, match=r'c\.py names no data set'):
            dataset_configs(load_config(tmp_path / 'c.py'))


class TestUnusedBits:
    """12-bit pictures in 16-bit files: OpenCV leaves 16 grey levels of them."""

    @pytest.fixture
    def deep(self, tmp_path):
        def write(top: int, extension: str = 'png', channels: int = 1) -> list[dict]:
            path = tmp_path / f'{top}_{channels}.{extension}'
            shape = (6, 8, channels)[: 2 + (channels > 1)]
            pixels = np.linspace(0, top, np.prod(shape)).astype(np.uint16)
            cv2.imwrite(str(path), pixels.reshape(shape))
            return [dict(img_path=str(path), gt_label=0)]

        return write

    @staticmethod
    def notes(bits=None, decode=True, **sets):
        step = dict(type='LoadImageFromFile')
        if bits:
            step = dict(type='LoadDICOM', bits=bits)
        found = inspect(decode=decode, pipeline=[step], **sets)
        assert not found.problems
        return [note for note in found.notes if '16 bits' in note]

    @pytest.mark.parametrize('decode', [True, False])
    @pytest.mark.parametrize('extension', ['png', 'tif', 'pgm'])
    @pytest.mark.parametrize('channels', [1, 3])
    def test_the_range_and_the_option_are_named(
        self, deep, extension, decode, channels
    ):
        if extension == 'pgm' and channels == 3:
            extension = 'ppm'
        (note,) = self.notes(decode=decode, train=deep(4093, extension, channels))
        assert 'from 0 to 4093 (12 bits) and are read as 0 to 65535' in note
        assert 'at most 15 of 255' in note
        assert 'load.0.type=LoadDICOM load.0.bits=12' in note

    def test_the_brightest_image_of_all_sets_decides(self, deep):
        assert not self.notes(train=deep(4093), val=deep(65000))
        (note,) = self.notes(train=deep(4093), val=deep(1000))
        assert note.startswith('2 images of train, val ')

    def test_the_right_option_needs_no_note(self, deep):
        assert not self.notes(12, train=deep(4093))
        (note,) = self.notes(10, train=deep(4093))
        assert 'what is above 1023 is white' in note

    def test_pixels_that_stay_16_bits_have_none(self, deep):
        step = dict(type='LoadImageFromFile', color_type='unchanged')
        found = inspect(pipeline=[step], train=deep(4093))
        assert not [note for note in found.notes if '16 bits' in note]

    def test_8_bits_have_none(self, image):
        assert not self.notes(train=[dict(img_path=image('x.png', 1), gt_label=0)])

    def test_training_says_it_too(self, deep, monkeypatch):
        said = []
        monkeypatch.setattr('ff_mm.datasets.checks.check.log', said.append)
        step = dict(type='LoadImageFromFile')
        config = dict(type='Listed', infos=deep(4093), pipeline=[step])
        check_datasets(dict(train=config))
        (note,) = said
        assert note.startswith('note: 1 images of train have 16 bits a pixel')
