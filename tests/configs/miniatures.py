"""Every data set of configs/, as downloaded, in miniature."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from chest_names import FINDINGS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from ff_mm.config import resolve, without_pretrained

#: Options that go with a data set, beside data_root.
Options = dict[str, Any]

RNG = np.random.default_rng(0)


def _image(path: Path, size: tuple[int, int] = (24, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), RNG.integers(0, 256, (*size, 3), dtype=np.uint8))


def _table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == '.gz' else content)


def _batch(path: Path, key: str, classes: int, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = RNG.integers(0, 256, (count, 3072), dtype=np.uint8)
    labels = [i % classes for i in range(count)]
    path.write_bytes(pickle.dumps({'data': data, key: labels}, protocol=4))


def cifar10(root: Path) -> Options:
    folder = root / 'cifar-10-batches-py'
    for name in [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch']:
        _batch(folder / name, 'labels', 10, 20)
    images = RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    np.save(root / 'cifar10.1_v6_data.npy', images)
    np.save(root / 'cifar10.1_v6_labels.npy', np.arange(20) % 10)
    return {'ood_dataloaders.cifar10_1.dataset.data_root': str(root)}


def cifar100(root: Path) -> Options:
    folder = root / 'cifar-100-python'
    _batch(folder / 'train', 'fine_labels', 100, 1000)
    _batch(folder / 'test', 'fine_labels', 100, 100)
    return {}


def _messidors(root: Path) -> Options:
    grades = [(f'im{i:02d}.tif', i % 4) for i in range(40)]
    header = ['Image name', 'Ophthalmologic department', 'Retinopathy grade']
    rows = [[n, 'Lariboisiere', g, 0] for n, g in grades]
    folder = root / 'messidor'
    _table(folder / 'Annotation_Base11.csv', [*header, 'Risk of macular edema'], rows)
    for name, _ in grades:
        _image(folder / 'Base11' / name)
    header = ['image_id', 'adjudicated_dr_grade', 'adjudicated_dme']
    rows = [[f'IM{i:04d}.JPG', i % 5, 0, 1] for i in range(50)]
    folder = root / 'messidor2'
    _table(folder / 'messidor_data.csv', [*header, 'adjudicated_gradable'], rows)
    for row in rows:
        _image(folder / 'IMAGES' / row[0])
    return {
        f'ood_dataloaders.{name}.dataset.data_root': str(root / name)
        for name in ('messidor', 'messidor2')
    }


def aptos(root: Path) -> Options:
    rows = [[f'{i:012x}', i % 5] for i in range(100)]
    _table(root / 'aptos' / 'train.csv', ['id_code', 'diagnosis'], rows)
    for name, _ in rows:
        _image(root / 'aptos' / 'train_images' / f'{name}.png')
    return {'data_root': str(root / 'aptos'), **_messidors(root)}


def eyepacs(root: Path) -> Options:
    sides = [(i, side) for i in range(50) for side in ('left', 'right')]
    rows = [[f'{i}_{side}', i % 5] for i, side in sides]
    _table(root / 'eyepacs' / 'trainLabels.csv', ['image', 'level'], rows)
    for name, _ in rows:
        _image(root / 'eyepacs' / 'train' / f'{name}.jpeg')
    return {'data_root': str(root / 'eyepacs'), **_messidors(root)}


def ham10000(root: Path) -> Options:
    number = 0
    columns = ['MEL', 'NV', 'BCC', 'AKIEC', 'BKL', 'DF', 'VASC']
    for split, count in {'Training': 14, 'Validation': 14, 'Test': 14}.items():
        rows = []
        for i in range(count):
            name = f'ISIC_{number:07d}'
            rows.append([name, *(float(i % 7 == j) for j in range(7))])
            _image(root / f'ISIC2018_Task3_{split}_Input' / f'{name}.jpg')
            number += 1
        table = root / f'ISIC2018_Task3_{split}_GroundTruth.csv'
        _table(table, ['image', *columns], rows)
    return {}


def isic2019(root: Path) -> Options:
    columns = ['MEL', 'NV', 'BCC', 'AK', 'BKL', 'DF', 'VASC', 'SCC', 'UNK']
    rows = [
        [f'ISIC_{i:07d}', *(float(i % 8 == j) for j in range(9))] for i in range(80)
    ]
    _table(root / 'ISIC_2019_Training_GroundTruth.csv', ['image', *columns], rows)
    lesions = [[row[0], '' if i % 9 else f'BCN_{i // 2}'] for i, row in enumerate(rows)]
    _table(root / 'ISIC_2019_Training_Metadata.csv', ['image', 'lesion_id'], lesions)
    for row in rows:
        _image(root / 'ISIC_2019_Training_Input' / f'{row[0]}.jpg')
    return {}


def ham10000_by_source(root: Path) -> Options:
    classes = ['akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc']
    sources = ['vidir_modern'] * 7 + ['rosendahl', 'vienna_dias', 'vidir_molemax']
    rows = [
        [f'HAM_{i:07d}', f'ISIC_{i:07d}', classes[i % 7], sources[i // 7 % 10]]
        for i in range(210)
    ]
    header = ['lesion_id', 'image_id', 'dx', 'dataset']
    _table(root / 'HAM10000_metadata.csv', header, rows)
    for row in rows:
        _image(root / 'images' / f'{row[1]}.jpg')
    return {}


def rsna(root: Path) -> Options:
    kinds = ['Normal', 'Lung Opacity', 'No Lung Opacity / Not Normal']
    cases = [(f'{i:08x}', kinds[i % 3]) for i in range(90)]
    boxes = [
        [name, *([1, 2, 3, 4, 1] if kind == kinds[1] else ['', '', '', '', 0])]
        for name, kind in cases
    ]
    header = ['patientId', 'x', 'y', 'width', 'height', 'Target']
    _table(root / 'stage_2_train_labels.csv', header, boxes)
    _table(root / 'stage_2_detailed_class_info.csv', ['patientId', 'class'], cases)
    for name, _ in cases:
        _image(root / 'stage_2_train_images' / f'{name}.png')
    return {}


def _findings(i: int) -> list[str]:
    cells = ['', '1.0', '0.0', '-1.0']
    # Each finding is there and absent in turns, and sometimes uncertain or missing.
    return ['', *(cells[(i + j) % 3 + (i % 7 == 0)] for j in range(13))]


def chexpert(root: Path) -> Options:
    header = ['Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *FINDINGS]
    folder = root / 'CheXpert-v1.0-small'
    for number, (split, count) in enumerate(dict(train=12, valid=9, test=9).items()):
        rows = []
        for i in range(count):
            end = f'{split}/patient{number}{i:04d}/study1/view1_frontal.jpg'
            path = f'CheXpert-v1.0-small/{end}'
            rows.append([path, 'Male', 60, 'Frontal', 'AP', *_findings(i)])
            _image(folder / end)
        _table(folder / f'{split}.csv', header, rows)
    return {
        'data_root': str(folder),
        'ood_dataloaders.mimic_cxr.dataset.data_root': str(_mimic_cxr(root / 'mimic')),
    }


def _mimic_cxr(root: Path) -> Path:
    labels, splits, views = [], [], []
    for i in range(9):
        subject, study, dicom = f'1000{i:04d}', f'5000{i:04d}', f'{i:08x}'
        labels.append([subject, study, *_findings(i)])
        splits.append([dicom, study, subject, 'test'])
        views.append([dicom, subject, study, 'PA'])
        folder = root / 'files' / f'p{subject[:2]}' / f'p{subject}' / f's{study}'
        _image(folder / f'{dicom}.jpg')
    name = 'mimic-cxr-2.0.0'
    header = ['subject_id', 'study_id', *FINDINGS]
    _table(root / f'{name}-chexpert.csv.gz', header, labels)
    header = ['dicom_id', 'study_id', 'subject_id', 'split']
    _table(root / f'{name}-split.csv.gz', header, splits)
    header = ['dicom_id', 'subject_id', 'study_id', 'ViewPosition']
    _table(root / f'{name}-metadata.csv.gz', header, views)
    return root


def _medmnist(name: str, classes: int, labels: int = 1) -> Callable[[Path], Options]:
    def write(root: Path) -> Options:
        arrays = {}
        for split in ('train', 'val', 'test'):
            count = 3 * classes
            arrays[f'{split}_images'] = RNG.integers(0, 256, (count, 28, 28), np.uint8)
            numbers = np.arange(count)[:, None] % classes
            if labels > 1:
                numbers = (numbers + np.arange(labels)) % 2
            arrays[f'{split}_labels'] = numbers.astype(np.uint8)
        np.savez(root / f'{name}.npz', **arrays)
        return {}

    return write


def table(root: Path) -> Options:
    rows = [[f'images/{i:02d}.jpg', 'ab'[i % 2], f'p{i // 2}'] for i in range(60)]
    _table(root / 'cases.csv', ['image', 'label', 'patient'], rows)
    for row in rows:
        _image(root / row[0])
    return {'table.group': 'patient'}


def multilabel_table(root: Path) -> Options:
    cells = ['1', '0', '']
    rows = [[f'{i:02d}.jpg', cells[i % 3], cells[i // 3 % 3]] for i in range(90)]
    _table(root / 'cases.csv', ['image', 'label_1', 'label_2'], rows)
    for row in rows:
        _image(root / row[0])
    return {}


def folders(root: Path) -> Options:
    for i in range(60):
        _image(root / 'ab'[i % 2] / f'{i:02d}.jpg')
    return {}


def digits(root: Path) -> Options:
    return {}


def _masked(root: Path, name: str) -> None:
    _image(root / 'images' / f'{name}.png', (32, 32))
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 4 : 8 + RNG.integers(16)] = 1
    (root / 'masks' / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / 'masks' / f'{name}.png'), mask)


def nuclei(root: Path) -> Options:
    sets = dict(train=6, val=4, test=4, microscope=3, histology=3)
    for name, number in sets.items():
        for i in range(number):
            _masked(root, f'{name}/{i:02d}')
    return {}


def mask_folders(root: Path) -> Options:
    for i in range(40):
        _masked(root, f'p{i // 2:02d}_{i % 2}')
    return {'group_pattern': r'^(p\d+)_'}


def mask_table(root: Path) -> Options:
    rows = [[f'images/{i:02d}.png', f'masks/{i:02d}.png', i // 2] for i in range(40)]
    _table(root / 'cases.csv', ['image', 'mask', 'patient'], rows)
    for i in range(40):
        _masked(root, f'{i:02d}')
    return {'table.group': 'patient'}


WRITERS: dict[str, Callable[[Path], Options]] = {
    'aptos': aptos,
    'chestmnist': _medmnist('chestmnist', 2, labels=14),
    'chexpert': chexpert,
    'cifar10': cifar10,
    'cifar100': cifar100,
    'dermamnist': _medmnist('dermamnist', 7),
    'digits': digits,
    'eyepacs': eyepacs,
    'folders': folders,
    'ham10000': ham10000,
    'ham10000_by_source': ham10000_by_source,
    'isic2019': isic2019,
    'mask_folders': mask_folders,
    'mask_table': mask_table,
    'multilabel_table': multilabel_table,
    'nuclei': nuclei,
    'pneumoniamnist': _medmnist('pneumoniamnist', 2),
    'retinamnist': _medmnist('retinamnist', 5),
    'rsna': rsna,
    'table': table,
}


def write_models(cfg: Config, folder: Path, number: int) -> str:
    """Writes networks of a config with random weights; a pattern of their files."""
    init_default_scope('mmpretrain')
    for seed in range(number):
        torch.manual_seed(seed)
        network = MODELS.build(without_pretrained(resolve(cfg).model))
        torch.save(dict(state_dict=network.state_dict()), folder / f'm{seed}.pth')
    return str(folder / 'm*.pth')
