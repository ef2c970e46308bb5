"""Data parallel training by real processes, against one process with the big batch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from many_processes import make
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS, RUNNERS
from mmengine.runner import set_random_seed
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS as CLASSIFIERS
from mmpretrain.structures import DataSample
from torch import nn
from torch.utils.data import Dataset

from ff_mm.config import load_config
from ff_mm.engine import QuietRunner
from ff_mm.engine.distributed import init_distributed, model_wrapper
from ff_mm.files import read_json
from ff_mm.merging.state_dict import read_checkpoint

# What all processes of a step see together; each sees its part.
BIG_BATCH = 8
# Double precision: what differs by more is no rounding.
EQUAL = dict(rtol=1e-9, atol=1e-12)

OPTIMIZERS = dict(
    sgd=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=0.01)),
    adamw=dict(
        optimizer=dict(type='AdamW', lr=0.05, weight_decay=0.1),
        clip_grad=dict(max_norm=0.1),
    ),
)
# Name -> cases, optimizer, whether the last batch of an epoch is left out if short.
TRAININGS = dict(
    sgd=(24, 'sgd', False),
    adamw=(24, 'adamw', False),
    # The last batch is short, but of equal parts.
    short=(28, 'adamw', False),
    # A case too few for equal parts, in the batch that is left out.
    dropped=(27, 'adamw', True),
    # The same, and the batch counts.
    uneven=(27, 'sgd', False),
)


@DATASETS.register_module()
class Points(Dataset):
    """Points in four dimensions, in double precision, of three classes."""

    metainfo = {'classes': ('a', 'b', 'c')}

    def __init__(self, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.points = torch.randn(size, 4, generator=generator, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, Any]:
        point = self.points[index]
        return dict(inputs=point, labels=point[:3].argmax(), numbers=index)


@MODELS.register_module()
class Perceptron(BaseModel):
    """Two layers in double precision, which note the cases of each training step."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.double()
        self.seen: list[list[int]] = []

    def forward(
        self,
        inputs: torch.Tensor,
        labels: torch.Tensor,
        numbers: torch.Tensor,
        mode: str = 'tensor',
    ) -> Any:
        scores = self.layers(inputs)
        if mode == 'loss':
            self.seen.append(numbers.tolist())
            return dict(loss=nn.functional.cross_entropy(scores, labels))
        return [
            DataSample().set_gt_label(label).set_pred_score(score)
            for label, score in zip(labels, scores.softmax(1), strict=True)
        ]


@CLASSIFIERS.register_module()
class DoubleClassifier(ImageClassifier):
    """A network of mmpretrain in double precision."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.double()

    def forward(self, inputs: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return super().forward(inputs.double(), *args, **kwargs)


@HOOKS.register_module()
class OwnBuffers(Hook):
    """Writes down the buffers of this rank before they are synchronised."""

    priority = 'HIGH'

    def after_train_epoch(self, runner: Any) -> None:
        model = getattr(runner.model, 'module', runner.model)
        buffers = dict(model.named_buffers())
        name = f'epoch_{runner.epoch + 1}_rank_{get_rank()}.pth'
        torch.save(buffers, Path(runner.work_dir, name))


def config(work_dir: Path, cases: int, optimizer: str, drop_last: bool) -> Config:
    loader = dict(
        num_workers=0,
        dataset=dict(type='Points', size=cases),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    return Config(
        dict(
            model=dict(type='Perceptron'),
            work_dir=str(work_dir),
            experiment_name=work_dir.name,
            train_dataloader=dict(
                loader, batch_size=BIG_BATCH // get_world_size(), drop_last=drop_last
            ),
            # One by one, or the rounding would depend on the size of the last batch.
            val_dataloader=dict(
                loader,
                batch_size=1,
                dataset=dict(type='Points', size=11),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=9),
            val_cfg=dict(),
            val_evaluator=[dict(type='MulticlassMetric'), dict(type='ValidationLoss')],
            optim_wrapper=OPTIMIZERS[optimizer],
            default_hooks=dict(checkpoint=None),
            default_scope='mmpretrain',
            randomness=dict(seed=0),
            launcher='none' if get_world_size() == 1 else 'pytorch',
        )
    )


def train(folder: Path) -> None:
    """Carries out all trainings, and leaves what came out for the tests."""
    for name, options in TRAININGS.items():
        cfg = config(folder / name, *options)
        if wrapper := model_wrapper(cfg):
            cfg.model_wrapper_cfg = wrapper
        set_random_seed(0)
        runner = QuietRunner.from_cfg(cfg)
        metrics = runner.val()  # of the same weights, however many ranks
        model = runner.train()
        model = getattr(model, 'module', model)
        runner.release()
        content = dict(weights=model.state_dict(), seen=model.seen, metrics=metrics)
        torch.save(content, folder / f'{name}_{get_rank()}.pth')


def carry_out(folder: Path, plan_files: Mapping[str, str]) -> None:
    """Carries out plans."""
    for name, file in plan_files.items():
        cfg = load_config(file)
        cfg.work_dir = str(folder / name)
        cfg.launcher = 'none' if get_world_size() == 1 else 'pytorch'
        cfg.train_dataloader.batch_size = BIG_BATCH // get_world_size()
        RUNNERS.build(cfg).train()


def work(size: int, folder: Path, plan_files: Mapping[str, str]) -> None:
    if size > 1:
        init_distributed(Config(dict(launcher='pytorch')))
    assert get_world_size() == size
    train(folder)
    carry_out(folder, plan_files)


@pytest.fixture(scope='module')
def plan_files(tmp_path_factory, generation_config) -> dict[str, str]:
    """Two plans without chance: of a network without batch norm, and of one with it."""
    folder = tmp_path_factory.mktemp('plans')
    stages = dict(plan__lrs=[1e-2], plan__probe=None, plan__base__epochs=2)
    stages['parallel'] = 'data'
    files = {}
    for name in ('plain', 'batch_norm'):
        cfg = generation_config(folder, **stages)
        cfg.train_dataloader.dataset.pipeline = '${test_pipeline}'
        cfg.model.type = 'DoubleClassifier'
        cfg.model.backbone.drop_path_rate = 0.0
        if name == 'plain':
            cfg.model.backbone = small_transformer()
            cfg.model.neck = None
        else:
            cfg.custom_hooks = [dict(type='OwnBuffers')]
        files[name] = str(folder / f'{name}.py')
        cfg.dump(files[name])
    return files


def small_transformer() -> dict[str, Any]:
    arch = dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=16)
    return dict(type='VisionTransformer', arch=arch, img_size=8, patch_size=4)


@pytest.fixture(scope='module')
def runs(tmp_path_factory, plan_files) -> dict[int, Path]:
    """Number of processes -> the folder with what they have done."""
    folders = {size: tmp_path_factory.mktemp(f'{size}_processes') for size in (1, 2, 4)}
    for size, folder in folders.items():
        plans = {n: f for n, f in plan_files.items() if n == 'plain' or size == 2}
        make(size, work, size, folder, plans)
    return folders


def results(folder: Path, name: str, size: int) -> list[dict[str, Any]]:
    return [torch.load(folder / f'{name}_{rank}.pth') for rank in range(size)]


def batches(runs: Mapping[int, Path], name: str, size: int) -> list[list[int]]:
    """The cases of each step, of all ranks."""
    seen = [ranks['seen'] for ranks in results(runs[size], name, size)]
    return [sorted(chain(*parts)) for parts in zip(*seen, strict=True)]


@pytest.mark.parametrize('size', [2, 4])
@pytest.mark.parametrize('name', ['sgd', 'adamw', 'short', 'dropped'])
def test_processes_together_train_as_one_with_the_big_batch(runs, name, size):
    (alone,) = results(runs[1], name, 1)
    for rank in results(runs[size], name, size):
        torch.testing.assert_close(rank['weights'], alone['weights'], **EQUAL)
    assert batches(runs, name, size) == batches(runs, name, 1)


@pytest.mark.parametrize('name', ['sgd', 'adamw'])
def test_the_trainings_do_train(runs, name):
    (first,) = results(runs[1], name, 1)
    assert len(first['seen']) == 3 * 24 // BIG_BATCH
    set_random_seed(0)
    start = Perceptron().state_dict()['layers.0.weight']
    assert (first['weights']['layers.0.weight'] - start).abs().max() > 0.1


@pytest.mark.parametrize('size', [2, 4])
def test_parts_are_made_equal_by_a_case_that_is_seen_twice(runs, size):
    together, alone = (batches(runs, 'uneven', n) for n in (size, 1))
    last = {3, 7, 11}  # of each epoch
    assert [together[i] for i in range(12) if i not in last] == [
        alone[i] for i in range(12) if i not in last
    ]
    for step in last:
        (extra,) = _without(together[step], alone[step])
        assert extra in alone[step - 3]  # the epoch's first batch
    weights = [results(runs[n], 'uneven', n)[0]['weights'] for n in (size, 1)]
    torch.testing.assert_close(*weights, rtol=0, atol=0.5)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(*weights, **EQUAL)


def _without(cases: list[int], others: list[int]) -> list[int]:
    rest = list(cases)
    for case in others:
        rest.remove(case)
    return rest


@pytest.mark.parametrize('size', [2, 4])
def test_each_case_is_validated_once_also_if_they_cannot_be_shared_equally(runs, size):
    (alone,) = results(runs[1], 'sgd', 1)
    for rank in results(runs[size], 'sgd', size):
        assert rank['metrics'] == alone['metrics']
    assert 0 < alone['metrics']['accuracy'] < 1


def ingredients(folder: Path) -> dict[str, dict[str, Any]]:
    manifest = read_json(folder / 'ingredients.json')
    return {
        entry['name']: dict(
            weights=read_checkpoint(folder / entry['file'])['state_dict'],
            metrics=entry['metrics'],
        )
        for entry in manifest['ingredients']
    }


@pytest.mark.parametrize('size', [2, 4])
def test_a_plan_of_several_processes_yields_the_ingredients_of_one(runs, size):
    alone, together = (ingredients(runs[n] / 'plain') for n in (1, size))
    assert len(alone) == 3 and list(together) == list(alone)
    for name, ingredient in alone.items():
        weights = together[name]['weights']
        torch.testing.assert_close(weights, ingredient['weights'], **EQUAL)
        assert together[name]['metrics'] == pytest.approx(ingredient['metrics'])


def test_ingredients_hold_the_mean_of_the_ranks_batch_norm_statistics(runs):
    folder = runs[2] / 'batch_norm'
    for name, ingredient in ingredients(folder).items():
        epoch = read_checkpoint(folder / 'ingredients' / f'{name}.pth')['meta']['epoch']
        trial = folder / 'trials' / name.split('_cycle')[0]
        ranks = [
            torch.load(trial / f'epoch_{epoch}_rank_{rank}.pth') for rank in (0, 1)
        ]
        keys = [key for key in ranks[0] if key.endswith(('_mean', '_var'))]
        assert keys
        for key in keys:
            values = [rank[key] for rank in ranks]
            assert not torch.equal(values[0], values[1])
            mean = torch.stack(values).mean(0)
            torch.testing.assert_close(ingredient['weights'][key], mean, **EQUAL)
