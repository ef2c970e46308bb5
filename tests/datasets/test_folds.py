"""Training and validation images together, cut into folds."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, init_default_scope
from mmpretrain.registry import DATASETS
from own_files import write_clinic

from ff_mm.datasets import DatasetError, check_datasets
from ff_mm.datasets.checks.truth import data_infos
from ff_mm.datasets.folds import FoldDataset, fold_facts, read_folds, set_folds
from ff_mm.datasets.splits.split_file import write_split_file
from ff_mm.errors import ConfigError

TABLE = dict(file='cases.csv', image='file', label='diagnosis', group='patient')
FIVE = dict(number=5, seed=0)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture(params=['table', 'digits'])
def cfg(request, tmp_path) -> Config:
    """Data sets of files with patients, and of arrays without."""
    if request.param == 'digits':
        return config(dict(type='Digits', indices=60))
    write_clinic(tmp_path)
    return config(dict(type='TableDataset', data_root=str(tmp_path), table=TABLE))


def config(dataset: dict) -> Config:
    loaders = {
        f'{split}_dataloader': dict(
            dataset=dict(dataset, split=split, pipeline=[dict(type='Told', by=split)])
        )
        for split in ('train', 'val', 'test')
    }
    return Config(loaders)


@TRANSFORMS.register_module()
class Told:
    """Says whose pipeline it is; one that is told to leaves out what it first sees."""

    left_out = None

    def __init__(self, by):
        self.by = by

    def __call__(self, info):
        if Told.left_out is not None and contents([info]) <= Told.left_out:
            return None
        return dict(info, by=self.by)


def cut(cfg: Config, index: int, **folds: int) -> dict[str, FoldDataset]:
    cfg = copy.deepcopy(cfg)
    set_folds(cfg, {**FIVE, **folds}, index)
    names = ('train', 'val', 'test')
    return check_datasets({name: cfg[f'{name}_dataloader'].dataset for name in names})


def contents(infos) -> set:
    """What tells images apart: files, or pixels."""
    return {i.get('img_path') or np.asarray(i['img']).tobytes() for i in infos}


def groups(dataset) -> set:
    return {info['group'] for info in data_infos(dataset)}


def test_each_case_validates_once_and_never_where_it_trains(cfg):
    plain = {
        name: DATASETS.build(cfg[f'{name}_dataloader'].dataset)
        for name in ('train', 'val', 'test')
    }
    everything = [*data_infos(plain['train']), *data_infos(plain['val'])]
    validated = []
    for index in range(5):
        parts = cut(cfg, index)
        train, val = (contents(data_infos(parts[name])) for name in ('train', 'val'))
        assert not train & val and train | val == contents(everything)
        assert not contents(data_infos(plain['test'])) & (train | val)
        assert parts['train'].metainfo == plain['train'].metainfo
        if everything[0].get('group'):
            assert not groups(parts['train']) & groups(parts['val'])
        labels = [info['gt_label'] for info in data_infos(parts['val'])]
        assert len(set(labels)) == len(parts['val'].metainfo['classes'])  # stratified
        validated += list(data_infos(parts['val']))
    assert len(validated) == len(everything)
    assert contents(validated) == contents(everything)


def test_each_loader_keeps_its_pipeline_and_images_what_they_are(cfg):
    for name, dataset in list(cut(cfg, 1).items())[:2]:
        for index in range(len(dataset)):
            given, info = dataset[index], dataset.get_data_info(index)
            assert given['by'] == name and given['gt_label'] == info['gt_label']
            assert contents([given]) == contents([info])
        assert dataset.get_cat_ids(0) == [info_label(dataset, 0)]


def info_label(dataset, index):
    return dataset.get_data_info(index)['gt_label']


def test_a_case_that_the_pipeline_leaves_out_is_replaced_by_one_of_the_fold(
    cfg, monkeypatch
):
    parts = cut(cfg, 2)
    train, val = parts['train'], parts['val']
    gone = contents(data_infos(train)) - contents([train.get_data_info(0)])
    monkeypatch.setattr(Told, 'left_out', gone)
    assert contents([train[len(train) - 1]]) == contents([train.get_data_info(0)])
    monkeypatch.setattr(Told, 'left_out', contents(data_infos(val)))
    with pytest.raises(DatasetError, match='leaves out case 0 of val'):
        val[0]


def test_wrappers_stay_around_the_folds(cfg):
    inner = cfg.train_dataloader.dataset.to_dict()
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(type='ConcatDataset', datasets=[inner]),
    )
    parts = cut(cfg, 0)
    assert len(parts['train']) == 2 * len(parts['train'].dataset)
    assert not contents(data_infos(parts['train'].dataset)) & contents(
        data_infos(parts['val'])
    )
    within = dict(type='ConcatDataset', datasets=[cfg.train_dataloader.dataset])
    cfg.train_dataloader.dataset = within
    with pytest.raises(ConfigError, match='RepeatDataset stands among others'):
        set_folds(cfg, FIVE, 0)


def test_a_leak_on_purpose_is_found(tmp_path):
    """The patients of one fold are among those that train in another table, too."""
    write_clinic(tmp_path)
    cfg = config(dict(type='TableDataset', data_root=str(tmp_path), table=TABLE))
    leaking, honest = copy.deepcopy(cfg), copy.deepcopy(cfg)
    set_folds(leaking, dict(number=5, seed=1), 0)
    set_folds(honest, FIVE, 0)
    with pytest.raises(DatasetError, match='images of train that are also in val'):
        check_datasets(
            dict(
                train=leaking.train_dataloader.dataset,
                val=honest.val_dataloader.dataset,
            )
        )
    with pytest.raises(DatasetError, match='train that are also in test'):
        all_of_test = dict(cfg.test_dataloader.dataset, split='all')
        check_datasets(dict(train=honest.train_dataloader.dataset, test=all_of_test))


def test_facts(cfg, tmp_path):
    facts = fold_facts(cfg, FIVE)
    assert facts.images == sum(facts.sizes) and len(set(facts.cases)) == 5
    assert fold_facts(cfg, FIVE) == facts
    assert set(facts.cases).isdisjoint(fold_facts(cfg, dict(number=5, seed=1)).cases)
    datasets = {
        name: DATASETS.build(cfg[f'{name}_dataloader'].dataset)
        for name in ('train', 'val', 'test')
    }
    write_split_file(tmp_path / 'splits.csv', datasets, facts.fold_of)
    head, *rows = (tmp_path / 'splits.csv').read_text().splitlines()
    assert head == 'image,split,label,group,fold'
    folds = [row.split(',')[-1] for row in rows]
    counts = [folds.count(str(index)) for index in range(5)]
    assert tuple(counts) == facts.sizes and folds.count('') == len(datasets['test'])


def test_rare_classes_are_told(cfg):
    facts = fold_facts(cfg, dict(number=20, seed=0))
    assert 'fewer cases than the 20 folds' in facts.notes[0]
    assert not fold_facts(cfg, dict(number=2, seed=0)).notes


def test_more_folds_than_patients(tmp_path):
    write_clinic(tmp_path)
    cfg = config(dict(type='TableDataset', data_root=str(tmp_path), table=TABLE))
    with pytest.raises(
        DatasetError, match='28 folds cannot be cut: there are 27 group'
    ):
        fold_facts(cfg, dict(number=28, seed=0))


@pytest.mark.parametrize(
    'value', [1, 0, -2, 2.5, True, '5', None, [5], dict(number=5, sed=1), dict(seed=1)]
)
def test_what_is_no_number_of_folds(value):
    with pytest.raises(ConfigError, match=r'plan\.folds=.*: expected how many folds'):
        read_folds(value, 'plan.folds')
    assert read_folds(3, 'x') == dict(number=3, seed=0)


@pytest.mark.parametrize('wrong', [dict(index=5), dict(part='test'), dict(index=None)])
def test_arguments_of_the_data_set(wrong):
    config = dict(datasets=[dict(type='Digits')], number=5, index=0)
    with pytest.raises(ValueError, match='must be one of'):
        FoldDataset(**{**config, **wrong})
