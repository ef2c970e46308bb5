"""Every config of segmentation runs, on miniature data and a miniature network."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from miniatures import WRITERS
from mmengine.config import Config
from mmengine.registry import RUNNERS

from ff_mm.config import load_config, resolve
from ff_mm.datasets import DatasetError
from ff_mm.datasets.sharing import build_dataset
from ff_mm.evaluation import SegmentationMetric

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = {path.stem: path for path in CONFIGS.rglob('*_unet.py')}
RUNS = sorted(n.removeprefix('fgg_') for n in FILES if n.startswith('fgg_'))
TINY = {
    'image_size': 32,
    'model.backbone.base_channels': 2,
    'model.decode_head.in_channels': 2,
    'model.decode_head.channels': 2,
    **{f'{name}_dataloader.batch_size': 4 for name in ('train', 'val', 'test')},
    **{f'{name}_dataloader.num_workers': 0 for name in ('train', 'val', 'test')},
}
TINY_PLAN = {
    'plan.lrs': [1e-2, 1e-3],
    'plan.probe': None,
    'plan.base': dict(epochs=1, _delete_=True),
    'plan.fission': None,
}

mmseg_apis = pytest.importorskip('mmseg.apis', reason='needs the segmentation extra')


@pytest.fixture(scope='module', params=RUNS)
def run(request: Any) -> str:
    return request.param


@pytest.fixture(scope='module')
def made(run: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder with pool and soup, their configs, and the report."""
    folder = tmp_path_factory.mktemp(run)
    data = run.removesuffix('_unet')
    options = {
        'data_root': str(folder / 'data'),
        **TINY,
        **WRITERS[data](folder / 'data'),
    }
    fgg = read(f'fgg_{run}', options, work_dir=str(folder / 'fgg'), **TINY_PLAN)
    manifest = RUNNERS.build(fgg).train()
    gog = read(f'gog_{run}', options, work_dir=str(folder / 'gog'))
    gog.ingredients = str(folder / 'fgg/ingredients.json')
    report = RUNNERS.build(gog).run()
    return folder, manifest, gog, report, options


def read(config: str, options: dict[str, Any], **more: Any) -> Config:
    cfg = copy.deepcopy(load_config(FILES[config]))
    cfg.merge_from_dict({**options, **more})
    return cfg


def test_a_plan_and_its_soup(made: Any, run: str) -> None:
    folder, manifest, gog, report, _ = made
    assert len(manifest['ingredients']) == 2
    assert set(report['ood']) == set(gog.get('ood_dataloaders') or {})
    for metrics in (report['val'], report['test'], *report['ood'].values()):
        assert 0 <= metrics['mdice'] <= 1 and metrics['loss'] > 0
    # The validation of the soup is that of the generation.
    assert report['evaluations']['val'] <= 3
    # A mask is part of what a case is.
    assert 'masks/' in (folder / 'fgg/images.csv').read_text()


def test_stock_mmsegmentation_gives_the_same_masks(made: Any) -> None:
    folder, _, gog, report, _ = made
    deploy = Config.fromfile(folder / 'gog/deploy.py')
    assert 'custom_imports' not in deploy
    assert 'LoadMask' not in str(deploy.to_dict())
    model = mmseg_apis.init_model(deploy, str(folder / 'gog/soup.pth'), device='cpu')
    cfg = resolve(gog)
    dataset = build_dataset(cfg.test_dataloader.dataset)
    metric = SegmentationMetric(**_own(cfg.test_evaluator[0]))
    metric.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        said = mmseg_apis.inference_model(model, dataset.get_data_info(i)['img_path'])
        truth = dataset[i]['data_samples'].gt_sem_seg
        sample = dict(said.to_dict(), gt_sem_seg=dict(data=truth.data))
        metric.process(None, [sample])
    found = metric.compute_metrics(metric.results)
    for name, value in found.items():
        assert np.isclose(value, report['test'][name], equal_nan=True), name
    assert list(model.dataset_meta['classes']) == list(gog.classes)


def test_the_command_that_tests_takes_the_soup(made: Any, tool: Any) -> None:
    folder, _, gog, report, _ = made
    gog.dump(folder / 'gog.py')
    out = folder / 'test.json'
    assert (
        tool('test.py', folder / 'gog.py', folder / 'gog/soup.pth', '--out', out) == 0
    )
    assert json.loads(out.read_text())['test']['mdice'] == report['test']['mdice']


def _own(metric: Any) -> dict[str, Any]:
    return {key: value for key, value in metric.items() if key != 'type'}


def test_overlays_of_the_soup_and_the_best_single_model(made: Any) -> None:
    folder, _, gog, report, _ = made
    cfg = copy.deepcopy(gog)
    cfg.runner_type = 'OverlayRunner'
    cfg.overlays = dict(cfg.overlays, cases=2)
    RUNNERS.build(cfg).run()
    with open(folder / 'gog/overlays/test.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report['evaluations']['images']['test']
    # Of one class beside the background: Dice, by the pixels that are wrong.
    wrong = sum(int(row['wrong_soup']) for row in rows)
    known = sum(int(row['known']) for row in rows)
    assert 0 <= wrong <= known
    assert (folder / 'gog/overlays/test.png').stat().st_size > 1000


def test_only_the_methods_of_fission_that_masks_can_have_are_compared(run: str) -> None:
    runner = RUNNERS.build(load_config(FILES[f'compare_{run}']))
    names = [method.name for method in runner.methods]
    soups = ('best', 'uniform', 'greedy', 'gou', 'gog')
    assert names == [f'fgg_{soup}' for soup in soups]
    assert runner.cfg.baseline == 'fgg_best'


def test_references_lead_somewhere(run: str) -> None:
    for kind in ('fgg', 'gog', 'compare'):
        cfg = resolve(load_config(FILES[f'{kind}_{run}']))
        assert '${' not in str(cfg.to_dict())
        assert cfg.model.decode_head.num_classes == len(cfg.classes)


def test_fission_fusion_and_comparison_see_the_same(run: str) -> None:
    fgg, gog, compare = (
        load_config(FILES[f'{kind}_{run}']) for kind in ('fgg', 'gog', 'compare')
    )
    for key in ('model', 'data_preprocessor', 'val_dataloader', 'val_evaluator'):
        assert fgg[key] == gog[key] == compare[key]
    assert fgg.selection == gog.selection == compare.selection
    assert compare.pools == dict(fgg=gog.ingredients)


def test_a_changed_mask_is_noticed(made: Any, run: str) -> None:
    folder, _, _, _, options = made
    listed = (folder / 'fgg/images.csv').read_text().splitlines()
    mask = folder / 'data' / next(x for x in listed if 'masks/' in x).split(',')[1]
    content = mask.read_bytes()
    cfg = read(f'fgg_{run}', options, work_dir=str(folder / 'fgg'), **TINY_PLAN)
    try:
        image = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(mask), 1 - image)
        with pytest.raises(DatasetError, match=r'images\.csv: 1 of .* are not those'):
            RUNNERS.build(cfg).train()
    finally:
        mask.write_bytes(content)


def test_training_is_the_same_again(made: Any, run: str, tmp_path: Path) -> None:
    folder, manifest, _, _, options = made
    cfg = read(f'fgg_{run}', options, work_dir=str(tmp_path), **TINY_PLAN)
    again = RUNNERS.build(cfg).train()
    assert json.dumps(again['ingredients']) == json.dumps(manifest['ingredients'])
    file = manifest['ingredients'][0]['file']
    one, two = (
        torch.load(f / file, weights_only=True) for f in (folder / 'fgg', tmp_path)
    )
    assert all(
        torch.equal(tensor, two['state_dict'][key])
        for key, tensor in one['state_dict'].items()
    )
