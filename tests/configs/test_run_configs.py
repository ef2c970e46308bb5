"""Every config in configs/ runs, on miniature data and with miniature networks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from miniatures import WRITERS
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from mmpretrain.registry import MODELS

from ff_mm.comparison.report import published
from ff_mm.config import load_config, resolve, without_pretrained
from ff_mm.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / 'configs'
OF_COMPARISON = ('pools', 'methods', 'baseline', 'bootstrap', 'published')
KINDS = ('fgg', 'gs', 'gog', 'compare')
KINDS_OF_MASKS = ('fgg', 'gog', 'compare')
PAPER = ('cifar10', 'cifar100', 'aptos', 'ham10000', 'rsna', 'chexpert', 'eyepacs')
FILES = [*CONFIGS.glob('*.py'), *CONFIGS.glob('[!_]*/*.py')]
PATHS = {path.stem: path for path in FILES}
RUNS = sorted(name.removeprefix('fgg_') for name in PATHS if name.startswith('fgg_'))
#: Of segmentation, see test_configs_of_masks.py.
MASKS = [run for run in RUNS if run.endswith('_unet')]
RUNS = [run for run in RUNS if run not in MASKS]
#: Of a kind of which there is one, to be copied.
EXAMPLES = {
    'distill_digits_resnet18',
    'kfold_digits_resnet18',
    'folds_digits_resnet18',
}
FRONT = 'ham10000_resnet50', 'digits_resnet18', 'table_resnet50', 'folders_resnet50'
#: Those whose pools `ff-mm fuse` takes.
FUSED = (*FRONT, 'table_efficientnet_lite0', 'folders_efficientnet_lite0')
#: Another name for a config of ResNet-50.
ALIASES = {'gog_chexpert': 'gog_chexpert_resnet50'}

TINY_NETWORK = {
    'resnet': {
        'model.backbone.stem_channels': 4,
        'model.backbone.base_channels': 4,
    },
    'deit': {
        'model.backbone.arch': dict(
            embed_dims=32,
            num_layers=1,
            num_heads=2,
            feedforward_channels=32,
            _delete_=True,
        ),
        'model.head.in_channels': 32,
    },
    'efficientnet': {},
}
FEATURES = {'resnet18': 32, 'resnet50': 128}
TINY_PLAN = {
    'image_size': 32,
    'plan.lrs': [1e-3, 1e-4],
    'plan.probe': None,
    'plan.base': dict(epochs=1, _delete_=True),
    'plan.fission': None,
    'train_dataloader.dataset.indices': 4,
}


def split_name(run: str) -> tuple[str, str]:
    """``'aptos_deit_base'`` -> ``('aptos', 'deit_base')``."""
    data = max((name for name in WRITERS if run.startswith(f'{name}_')), key=len)
    return data, run.removeprefix(f'{data}_')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Writes a data set when it is first asked for; gives the options to read it."""
    written: dict[str, dict] = {}

    def get(name: str) -> dict:
        if name not in written:
            root = tmp_path_factory.mktemp(name)
            written[name] = {'data_root': str(root), **WRITERS[name](root)}
        return written[name]

    yield get


def options(run: str, data: Any, work_dir: Path) -> dict[str, Any]:
    name, arch = split_name(run)
    chosen: dict[str, Any] = {'work_dir': str(work_dir), 'starting_weights': None}
    chosen.update(TINY_NETWORK[arch.rstrip('0123456789').split('_')[0]])
    if arch in FEATURES:
        chosen['model.head.in_channels'] = FEATURES[arch]
    for loader in ('train', 'val', 'test'):
        chosen[f'{loader}_dataloader.batch_size'] = 4
        chosen[f'{loader}_dataloader.num_workers'] = 0
    if name == 'digits':
        chosen['val_dataloader.dataset.indices'] = 20
        chosen['test_dataloader.dataset.indices'] = 20
    else:
        chosen.update(data(name))
    return chosen


@functools.cache
def load(config: str) -> Config:
    return load_config(PATHS[config])


def read(config: str, chosen: dict[str, Any], **more: Any) -> Config:
    cfg = copy.deepcopy(load(config))
    cfg.merge_from_dict({**chosen, **more})
    return cfg


@pytest.mark.parametrize('run', RUNS)
def test_a_plan_and_its_soup(run, data, tmp_path):
    chosen = options(run, data, tmp_path / 'fgg')
    if split_name(run)[1] == 'efficientnet_lite0':
        pytest.importorskip('timm')
    cfg = read(f'fgg_{run}', chosen, **TINY_PLAN)
    manifest = RUNNERS.build(cfg).train()
    assert [e['epoch'] for e in manifest['ingredients']] == [1, 1]

    soup = read(f'gog_{run}', {**chosen, 'work_dir': str(tmp_path / 'gog')})
    assert soup.ingredients == f'work_dirs/fgg_{run}/ingredients.json'
    soup.image_size = 32
    soup.ingredients = str(tmp_path / 'fgg' / 'ingredients.json')
    report = RUNNERS.build(soup).run()
    metric = soup.selection.metric
    assert 0 <= report['val'][metric] <= 1
    assert 0 <= report['test'][metric] <= 1
    assert set(report['ood']) == set(soup.get('ood_dataloaders') or {})
    for metrics in report['ood'].values():
        assert metric in metrics
    assert (tmp_path / 'gog' / 'soup.pth').is_file()
    # The validation of the soup is that of the generation.
    assert report['evaluations']['val'] <= 3


@pytest.mark.parametrize('run', RUNS)
def test_references_lead_somewhere(run):
    for kind in KINDS:
        cfg = resolve(load(f'{kind}_{run}'))
        assert '${' not in str(cfg.to_dict())
        assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes


@pytest.mark.parametrize('run', [run for run in RUNS if 'digits' not in run])
def test_plans_are_the_published_one(run):
    trials = RUNNERS.build(load(f'fgg_{run}')).trials
    epochs = dict.fromkeys(('probe', 'base', 'fission'), 0)
    for trial in trials:
        epochs[trial.stage] += trial.epochs
    assert epochs == dict(probe=10, base=8 * 50, fission=8 * 17)


@pytest.mark.parametrize('run', [run for run in RUNS if 'digits' not in run])
def test_grid_searches_are_the_published_one(run):
    probe, *models = RUNNERS.build(load(f'gs_{run}')).trials
    assert (probe.epochs, len(models)) == (10, 48)
    assert sum(trial.epochs for trial in models) == 2400


@pytest.mark.parametrize('run', RUNS)
def test_a_grid_search_differs_from_fission_in_nothing_but_the_plan(run):
    fgg, gs = (load(f'{kind}_{run}').to_dict() for kind in ('fgg', 'gs'))
    plans = fgg.pop('plan'), gs.pop('plan')
    for cfg in (fgg, gs):
        cfg.pop('work_dir')
    assert fgg == gs
    for key in ('lrs', 'probe', 'base'):
        assert plans[0][key] == plans[1][key]
    # The probe of both is trained alike.
    assert plans[0]['seeds'][0] == plans[1]['seeds'][0]
    assert fgg['augmentation'] == plans[1]['augmentations'][0]


@pytest.mark.parametrize('run', RUNS)
def test_comparisons_are_of_the_pools_that_the_plans_leave(run):
    runner = RUNNERS.build(load(f'compare_{run}'))
    assert runner.pools == {
        kind: [f'{load(f"{kind}_{run}").work_dir}/ingredients.json']
        for kind in ('gs', 'fgg')
    }
    methods = [method.name for method in runner.methods]
    assert len(methods) == 13
    gog, compare = (load(f'{kind}_{run}').to_dict() for kind in ('gog', 'compare'))
    for cfg in (gog, compare):
        for key in ('runner_type', 'work_dir', 'soup', 'ingredients', *OF_COMPARISON):
            cfg.pop(key, None)
    assert gog == compare
    data, arch = split_name(run)
    of_the_paper = data in PAPER and arch in ('resnet50', 'deit_base')
    assert (runner.published is not None) == of_the_paper
    if of_the_paper:
        found = published(**runner.published)
        assert set(found) - set(methods) <= {'fgg_augmentation'}
        assert len(found) >= 6


@pytest.mark.parametrize('run', FUSED)
def test_the_one_model_is_fused_of_the_pool_that_fission_leaves(run):
    cfg, fgg = load(f'fuse_{run}'), load(f'fgg_{run}')
    assert cfg.pool == f'{fgg.work_dir}/ingredients.json'
    for key in ('model', 'data_preprocessor', 'val_dataloader', 'selection'):
        assert cfg[key] == fgg[key]
    # It can be distilled as it was trained.
    for key in ('train_dataloader', 'optim_wrapper', 'augmentation'):
        assert cfg[key] == fgg[key]
    cfg = copy.deepcopy(cfg)
    cfg.budget = 10
    runner = RUNNERS.build(cfg)
    names = [method.name for method in runner.methods]
    assert names[:2] == ['best', 'soft'] and runner.budget == 10


@pytest.mark.parametrize(
    ('base', 'published'),
    # Parameters in millions, with 1000 classes, as in MMPretrain's and timm's tables.
    [
        ('resnet18', 11.69),
        ('resnet50', 25.56),
        ('deit_small', 22.05),
        ('deit_base', 86.57),
        ('efficientnet_lite0', 4.65),
    ],
)
def test_networks_are_the_published_ones(base, published):
    if base == 'efficientnet_lite0':
        pytest.importorskip('timm')
    cfg = load_config(CONFIGS / '_base_' / 'models' / f'{base}.py')
    cfg.update(data_preprocessor=dict(num_classes=1000), image_size=224)
    init_default_scope('mmpretrain')
    model = MODELS.build(without_pretrained(resolve(cfg).model.to_dict()))
    size = sum(parameter.numel() for parameter in model.parameters())
    assert round(size / 1e6, 2) == published


@pytest.mark.parametrize('run', RUNS)
def test_fission_and_fusion_see_the_same_model_and_data(run):
    fgg = load(f'fgg_{run}')
    gog = load(f'gog_{run}')
    for key in ('model', 'data_preprocessor', 'val_dataloader', 'val_evaluator'):
        assert fgg[key] == gog[key]
    assert fgg.selection == gog.selection


def test_every_config_belongs_to_a_run():
    expected = {f'{kind}_{run}' for kind in KINDS for run in RUNS}
    expected |= {f'fuse_{run}' for run in FUSED}
    expected |= {f'{kind}_{run}' for kind in KINDS_OF_MASKS for run in MASKS}
    assert set(PATHS) == expected | set(ALIASES) | EXAMPLES


def test_the_student_is_of_the_quickstarts_pool_and_soup():
    distill, fgg, gog = (
        load(f'{kind}_digits_resnet18') for kind in ('distill', 'fgg', 'gog')
    )
    assert distill.plan.pool == f'{fgg.work_dir}/ingredients.json'
    assert distill.plan.start == f'{gog.work_dir}/soup.pth'
    first, student = RUNNERS.build(distill).trials
    assert (first.id, student.epochs) == ('teacher', 10)
    for key in ('model', 'data_preprocessor', 'train_dataloader', 'val_dataloader'):
        assert distill[key] == fgg[key]


def test_every_config_stands_in_one_place_that_its_name_tells():
    assert len(FILES) == len(PATHS)
    for name in set(PATHS) - set(ALIASES):
        data = split_name(name.partition('_')[2])[0]
        assert PATHS[name].parent in (CONFIGS, CONFIGS / data)


def test_the_front_door():
    expected = {f'{kind}_{run}.py' for kind in (*KINDS, 'fuse') for run in FRONT}
    expected |= {'fgg_chexpert_resnet50.py', 'gog_chexpert.py'}
    assert expected <= {path.name for path in CONFIGS.glob('*.py')}


@pytest.mark.parametrize('name', ['fgg_aptos_resnet50', 'gog_ham10000_deit_base'])
def test_where_a_config_stood_is_said_where_it_is(name):
    data = split_name(name.partition('_')[2])[0]
    with pytest.raises(ConfigError, match=f'moved to .*/configs/{data}/{name}.py$'):
        load_config(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('soup', ['best', 'uniform', 'greedy', 'gou'])
def test_where_copies_stood_is_said_how_their_soup_is_made(soup):
    for run in [*RUNS, *MASKS]:
        with pytest.raises(ConfigError) as error:
            load_config(CONFIGS / f'{soup}_{run}.py')
        command = f'{PATHS[f"gog_{run}"]} --soup {soup}'
        assert str(error.value).endswith(f'moved to {command}')


@pytest.mark.parametrize('alias', ALIASES)
def test_aliases(alias):
    short, full = (
        load_config(PATHS[name], dict(work_dir='x')) for name in (alias, ALIASES[alias])
    )
    assert short.to_dict() == full.to_dict()


def test_the_papers_data_sets_and_networks_are_complete():
    expected = {
        f'{data}_{arch}'
        for data in PAPER
        for arch in ('resnet50', 'deit_base', 'deit_small')
    }
    assert expected <= set(RUNS)
