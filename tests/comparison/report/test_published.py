from __future__ import annotations

import pytest

from ff_mm.comparison.report.published import published, published_metric
from ff_mm.errors import ConfigError

BACKBONES = ('ResNet50', 'DeiT-B')
DATASETS = ('CIFAR10', 'CIFAR100', 'APTOS', 'HAM10000', 'RSNA', 'CheXpert')
TABLE_1 = {'gs_best', 'gs_uniform', 'gs_greedy', 'fgg_best', 'fgg_gou', 'fgg_gog'}
ABLATION = {'gs_gou', 'gs_gog', 'fgg_uniform', 'fgg_greedy', 'fgg_augmentation'}


@pytest.mark.parametrize('backbone', BACKBONES)
def test_all_methods_are_there_but_the_ablation_of_eyepacs(backbone):
    for dataset in DATASETS:
        assert set(published(backbone, dataset)) == TABLE_1 | ABLATION
    assert set(published(backbone, 'EyePACS')) == TABLE_1


@pytest.mark.parametrize(
    ('backbone', 'dataset', 'method', 'value'),
    [
        ('ResNet50', 'CIFAR10', 'gs_best', 0.9769),
        ('ResNet50', 'CIFAR100', 'fgg_gog', 0.8477),
        ('ResNet50', 'APTOS', 'gs_greedy', 0.7247),
        ('ResNet50', 'HAM10000', 'fgg_gou', 0.6818),
        ('ResNet50', 'RSNA', 'gs_gou', 0.9474),
        ('ResNet50', 'CheXpert', 'gs_uniform', 0.5752),
        ('ResNet50', 'EyePACS', 'fgg_gou', 0.4905),
        ('ResNet50', 'HAM10000', 'fgg_augmentation', 0.6317),
        ('DeiT-B', 'CIFAR10', 'fgg_gog', 0.9901),
        ('DeiT-B', 'APTOS', 'fgg_uniform', 0.3067),
        ('DeiT-B', 'HAM10000', 'gs_uniform', 0.1429),
        ('DeiT-B', 'RSNA', 'fgg_gou', 0.9579),
        ('DeiT-B', 'CheXpert', 'gs_gog', 0.8707),
        ('DeiT-B', 'EyePACS', 'fgg_best', 0.5029),
        ('DeiT-B', 'CheXpert', 'fgg_augmentation', 0.8691),
    ],
)
def test_values_are_those_of_the_paper(backbone, dataset, method, value):
    assert published(backbone, dataset)[method] == value


@pytest.mark.parametrize(
    ('backbone', 'dataset', 'best'),
    [
        ('ResNet50', 'CIFAR10', {'fgg_gou', 'fgg_gog'}),
        ('ResNet50', 'CIFAR100', {'fgg_gog'}),
        ('ResNet50', 'HAM10000', {'fgg_gou'}),
        ('ResNet50', 'RSNA', {'fgg_gou'}),
        ('ResNet50', 'CheXpert', {'fgg_gog'}),
        ('DeiT-B', 'CIFAR10', {'fgg_gog'}),
        ('DeiT-B', 'CIFAR100', {'fgg_gog'}),
        ('DeiT-B', 'RSNA', {'fgg_gou'}),
        ('DeiT-B', 'EyePACS', {'fgg_best'}),
    ],
)
def test_the_best_of_table_1(backbone, dataset, best):
    row = {k: v for k, v in published(backbone, dataset).items() if k in TABLE_1}
    assert {name for name, v in row.items() if v == max(row.values())} == best


@pytest.mark.parametrize('backbone', BACKBONES)
def test_fgg_is_better_than_grid_search_before_any_soup(backbone):
    better = [
        dataset
        for dataset in (*DATASETS, 'EyePACS')
        if published(backbone, dataset)['fgg_best']
        > published(backbone, dataset)['gs_best']
    ]
    assert len(better) == 6


def test_the_metric_of_rsna_is_inferred():
    assert published_metric('HAM10000') == ('macro_recall', False)
    assert published_metric('RSNA') == ('macro_f1', True)


def test_what_the_paper_does_not_have_is_said_with_what_it_has():
    with pytest.raises(ConfigError, match=r"backbone='VGG'.*\['ResNet50', 'DeiT-B'\]"):
        published('VGG', 'CIFAR10')
    with pytest.raises(ConfigError, match=r"dataset='MNIST'.*'HAM10000'"):
        published('DeiT-B', 'MNIST')
