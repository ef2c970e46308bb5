from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from ff_mm.datasets import DatasetError, MaskDataset
from ff_mm.datasets.checks.check import fingerprint
from ff_mm.datasets.checks.on_disk import images_identity
from ff_mm.errors import ConfigError
from ff_mm.evaluation.metrics.dry_run import dry_run
from ff_mm.tasks import Segmentation, task_of

CLASSES = ['background', 'nucleus']
MODEL = dict(type='EncoderDecoder', decode_head=dict(num_classes=2))
METRICS = [dict(type='SegmentationMetric'), dict(type='MaskLoss')]


def write(root: Path, values: tuple[int, int] = (0, 1), number: int = 4) -> None:
    for folder in ('images', 'masks'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for i in range(number):
        Image.new('RGB', (9, 7), (i, 0, 0)).save(root / f'images/{i}.png')
        mask = np.full((7, 9), values[0], np.uint8)
        mask[2 : 4 + i] = values[1]
        Image.fromarray(mask).save(root / f'masks/{i}.png')


def build(root: Path, **options: Any) -> MaskDataset:
    given: dict[str, Any] = dict(split='all', classes=CLASSES)
    return MaskDataset(str(root), **{**given, **options})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


class TestChoice:
    def test_is_the_task_of_mmsegmentations_configs(self) -> None:
        assert isinstance(task_of(dict(default_scope='mmseg')), Segmentation)

    def test_probabilities_of_an_image_are_refused(self) -> None:
        with pytest.raises(ConfigError, match='ensemble: needs the probability'):
            Segmentation().require_scores('ensemble')

    def test_the_last_of_several_heads_says_how_many_classes(self) -> None:
        heads = [dict(num_classes=3), dict(num_classes=7)]
        assert Segmentation().outputs(dict(decode_head=heads)) == 7
        assert Segmentation().outputs(dict(type='Other')) is None


class TestBeforeTraining:
    def check(self, model: Any = MODEL, **datasets: Any) -> list[str]:
        notes: list[str] = []
        Segmentation().check(Config(dict(model=model)), datasets, notes.append)
        return notes

    def test_good_masks_are_not_mentioned(self, root: Path) -> None:
        dataset = build(root)
        assert self.check(train=dataset, val=dataset) == []

    def test_bad_masks_of_all_sets_are_said_at_once(self, root: Path) -> None:
        write(root / 'other', (0, 255))
        good, bad = build(root), build(root / 'other')
        with pytest.raises(DatasetError) as caught:
            self.check(train=good, val=bad, **{'ood/other': bad})
        assert [line.partition(':')[0] for line in caught.value.problems] == [
            'val',
            'ood/other',
        ]

    def test_a_class_that_a_test_set_lacks_is_a_note(self, root: Path) -> None:
        write(root / 'empty', (0, 0))
        found = self.check(train=build(root), val=build(root / 'empty'))
        assert found == ['note: val: no mask has a pixel of nucleus']

    def test_a_head_of_another_number_of_classes(self, root: Path) -> None:
        dataset = build(root)
        model = dict(decode_head=dict(num_classes=3))
        with pytest.raises(ConfigError, match=r'num_classes=3: the data set has 2'):
            self.check(model, train=dataset, val=dataset)

    def test_sets_are_described_by_their_pixels(self, root: Path) -> None:
        # Rows 2 and 3 of seven, then one more each: 2 + 3 + 4 + 5 of 28.
        assert Segmentation().describe('train', build(root)) == (
            'train: 4 images, 2 classes (background 50.0 %, nucleus 50.0 %)'
        )

    def test_a_set_without_masks_is_of_others(self) -> None:
        assert Segmentation().describe('val', [1, 2]) == 'val: 2 cases'
        assert Segmentation().made_up(MODEL, [1, 2], [{}, {}]) is None


class TestMetricsAreTried:
    def test_by_masks_that_are_made_up(self, root: Path) -> None:
        found = dry_run(METRICS, build(root), Segmentation(), MODEL)
        assert found is not None
        assert found.perfect['miou'] == found.perfect['iou/nucleus'] == 1
        assert found.chance['miou'] < 0.8
        assert 0 <= found.perfect['loss'] < 1e-6 < found.chance['loss']
        found.check('mdice', 'greater', 'selection.metric')
        with pytest.raises(ConfigError, match="did you mean 'mdice'"):
            found.check('mDice', 'greater', 'selection.metric')
        with pytest.raises(ConfigError, match='the worst for the best'):
            found.check('loss', 'greater', 'selection.metric')

    def test_a_class_that_is_left_out_and_not_there(self, root: Path) -> None:
        metrics = [dict(type='SegmentationMetric', leave_out=['backgrund'])]
        with pytest.raises(Exception, match=r"leave_out=\['backgrund'\]"):
            dry_run(metrics, build(root), Segmentation(), MODEL)


class TestWhatACaseIs:
    def test_a_changed_mask_is_another_set_of_images(self, root: Path) -> None:
        before = images_identity(build(root))
        write(root, (1, 0))
        assert images_identity(build(root)) != before

    def test_another_meaning_of_values_is_another_truth(self, root: Path) -> None:
        swapped = build(root, label_map={0: 1, 1: 0})
        assert fingerprint(swapped) != fingerprint(build(root))

    def test_where_the_folder_lies_does_not_matter(
        self, root: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        other = tmp_path_factory.mktemp('other')
        write(other)
        assert fingerprint(build(other)) == fingerprint(build(root))


def test_what_is_deployed_needs_no_mask() -> None:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(8, 8)),
        dict(type='LoadMask'),
        dict(type='PackSegInputs'),
    ]
    cfg = Config(
        dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['ff_mm']),
            model=MODEL,
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[1, 2, 3]),
            test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    )
    found = Segmentation().deployment(cfg)
    assert [step['type'] for step in found['test_pipeline']] == [
        'LoadImageFromFile',
        'Resize',
        'PackSegInputs',
    ]
    # init_model of MMSegmentation builds the model alone.
    assert found['model']['data_preprocessor']['mean'] == [1, 2, 3]
    assert 'custom_imports' not in found
