from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from ham_files import CLASSES, ISIC_COLUMNS, write_image, write_table


@pytest.fixture(scope='session', autouse=True)
def cheap_collection() -> Iterator[None]:
    """MMEngine collects garbage for every data set: 0.3 s with all that is imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def dataverse(tmp_path: Path) -> Path:
    """140 images: 70 lesions, ten a class, two images each, two sources by turns."""
    header = ['lesion_id', 'image_id', 'dx', 'dx_type', 'age', 'sex', 'localization']
    rows = [[*header, 'dataset']]
    for lesion in range(70):
        source = ('vidir_modern', 'rosendahl')[lesion // 7 % 2]
        for view in range(2):
            image = f'ISIC_{2 * lesion + view:07d}'
            part = tmp_path / f'HAM10000_images_part_{view + 1}'
            write_image(part / f'{image}.jpg', value=lesion)
            dx = CLASSES[lesion % 7]
            lesion_id = f'HAM_{lesion:07d}'
            rows.append([lesion_id, image, dx, 'histo', '45.0', 'male', 'back', source])
    write_table(tmp_path / 'HAM10000_metadata.csv', rows)
    return tmp_path


@pytest.fixture
def isic2018(tmp_path: Path) -> Path:
    """Official layout: 14 training, 7 validation and 7 test images, tables unfolded."""
    number = 0
    for split, count in {'Training': 14, 'Validation': 7, 'Test': 7}.items():
        rows = [['image', *ISIC_COLUMNS]]
        for _ in range(count):
            image = f'ISIC_{number:07d}'
            hot = ['1.0' if i == number % 7 else '0.0' for i in range(7)]
            rows.append([image, *hot])
            write_image(tmp_path / f'ISIC2018_Task3_{split}_Input' / f'{image}.jpg')
            number += 1
        write_table(tmp_path / f'ISIC2018_Task3_{split}_GroundTruth.csv', rows)
    groupings = [['image', 'lesion_id', 'diagnosis confirm type']]
    groupings += [[f'ISIC_{i:07d}', f'HAM_{i // 2:07d}', 'histo'] for i in range(14)]
    write_table(tmp_path / 'ISIC2018_Task3_Training_LesionGroupings.csv', groupings)
    return tmp_path
