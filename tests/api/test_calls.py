"""Training, fusing and comparing from Python, with a DataFrame of images."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import ff_mm
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import read_json

COLUMNS = dict(image='file', label='dx', group='patient', split='part')
TINY = {
    'image_size': 32,
    'starting_weights': None,
    'plan.lrs': [1e-3, 1e-2],
    'plan.probe': None,
    'plan.base': dict(epochs=1, _delete_=True),
    'plan.fission': None,
    'train_dataloader.batch_size': 4,
    'bootstrap.resamples': 100,
    **{f'{loader}_dataloader.num_workers': 0 for loader in ('train', 'val', 'test')},
}
OF_PLAN = {k: v for k, v in TINY.items() if not k.startswith('bootstrap')}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A folder with 36 images, and what is known of them."""
    root = tmp_path_factory.mktemp('images')
    noise = np.random.default_rng(0)
    rows = []
    for number in range(36):
        dark = number % 2
        image = noise.integers(0, 120, (32, 32, 3), dtype=np.uint8) + 120 * (1 - dark)
        cv2.imwrite(str(root / f'{number}.png'), image)
        part = ('train', 'val', 'test')[number // 2 % 3]
        label = ('naevus', 'melanoma')[dark]
        rows.append(dict(file=f'{number}.png', dx=label, patient=number, part=part))
    return root, pd.DataFrame(rows)


@pytest.fixture(scope='module')
def pool(images, tmp_path_factory):
    root, frame = images
    folder = tmp_path_factory.mktemp('work') / 'mine'
    return ff_mm.train(
        frame, table=COLUMNS, root=root, work_dir=folder, options=OF_PLAN
    )


def test_a_pool_of_a_data_frame(pool):
    table = pd.DataFrame(pool.table)
    assert list(table['lr']) == [1e-3, 1e-2]
    assert list(table['epoch']) == [1, 1]
    assert table['macro_recall'].between(0, 1).all()
    assert all(os.path.isfile(file) for file in table['file'])
    assert pool.report.startswith(f'2 models in {pool.file}, 2 epochs, ')


def test_the_head_has_as_many_classes_as_the_column(pool):
    assert pool.options['data_preprocessor.num_classes'] == 2


def test_again_it_is_there_at_once(pool, images):
    root, frame = images
    before = [os.stat(row['file']).st_mtime_ns for row in pool.table]
    again = ff_mm.train(
        frame, table=COLUMNS, root=root, work_dir=pool.folder, options=OF_PLAN
    )
    assert again == pool
    assert [row['file'] for row in again.table] == [row['file'] for row in pool.table]
    assert read_json(pool.file)['cost']['epochs'] == 2
    assert [os.stat(row['file']).st_mtime_ns for row in pool.table] == before


def test_other_cases_are_refused_where_models_are(pool, images):
    root, frame = images
    with pytest.raises(ConfigError, match='trained here on other cases than those of'):
        ff_mm.train(frame.iloc[:-1], table=COLUMNS, root=root, work_dir=pool.folder)


def test_the_soups_of_a_pool_are_compared(pool):
    options = {key: TINY[key] for key in TINY if not key.startswith('plan')}
    found = ff_mm.compare(pool, options=options)
    assert found.folder == pool.folder.with_name('mine_compare')
    table = pd.DataFrame(found.table)
    assert {'FGG (best)', 'FGG + GoG'} <= set(table['method'])
    assert set(table['set']) == {'val', 'test'}
    value = table.query("method == 'FGG (best)' and set == 'test'").set_index('metric')
    assert (
        value['value']['macro_recall']
        == (
            found.found['methods']['fgg_best']['results']['test']['macro_recall'][
                'value'
            ]
        )
    )
    assert found.file is not None and found.file.is_file()
    assert 'FGG + GoG' in found.report
    labels = [label.get_text() for label in found.plot().axes[0].get_yticklabels()]
    assert labels[0] == 'FGG (best)' and len(labels) == len(found.found['methods'])


def test_one_model_of_a_pool(pool):
    options = {key: TINY[key] for key in TINY if not key.startswith('plan')}
    found = ff_mm.fuse(pool, options=options)
    assert found.file.is_file() and (found.folder / 'deploy.py').is_file()
    assert '# The one model' in found.report
    assert {'val', 'test'} == {row['set'] for row in found.table}
    assert isinstance(found.plot(), Figure)


def test_a_pool_is_drawn_by_learning_rate(pool):
    (axes,) = pool.plot('loss').axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ['0.001', '0.01']
    (points,) = axes.lines
    assert list(points.get_ydata()) == [row['loss'] for row in pool.table]
    with pytest.raises(ConfigError, match="metric='auc': the models have accuracy, "):
        pool.plot('auc')


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (dict(data=[1]), 'expected a config or a DataFrame, got list'),
        (dict(data='fgg_digits_resnet8'), 'did you mean .*fgg_digits_resnet18'),
        (dict(data='gog_digits_resnet18'), 'has no plan to train'),
        (dict(data='fgg_digits_resnet18', table=COLUMNS), 'goes with a DataFrame'),
        (dict(network='vgg'), "network='vgg': there is efficientnet_lite0, resnet50"),
        (dict(table=None), 'say what the columns mean.* there are file, dx, patient'),
        (dict(work_dir=None), 'say where to write'),
        (dict(table=dict(COLUMNS, label='diagnosis')), "'diagnosis'"),
    ],
)
def test_what_is_wrong_is_a_line(images, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    root, frame = images
    given = dict(data=frame, table=COLUMNS, root=root, work_dir=tmp_path / 'w')
    given |= arguments
    if not isinstance(given['data'], pd.DataFrame) and 'table' not in arguments:
        given['table'] = None
    with pytest.raises(FFMMError, match=said):
        ff_mm.train(given.pop('data'), **given)


def test_a_config_of_ones_own_has_no_known_partner(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'ff_mm::fgg_digits_resnet18.py'")
    mine = ff_mm.api.Pool(tmp_path, str(tmp_path / 'mine.py'))
    with pytest.raises(ConfigError, match='config goes with it is not known'):
        ff_mm.fuse(mine)
