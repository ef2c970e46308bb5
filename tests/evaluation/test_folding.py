from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from many_processes import in_team
from torch import nn

from ff_mm.engine.precision import float32
from ff_mm.evaluation import model_evaluator
from ff_mm.evaluation.batch_norm_folding import (
    BatchNormFolding,
    Foldable,
    find_foldable,
)
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.early_exit import Selection
from ff_mm.evaluation.memo import EvaluationMemo
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.merging import Candidate, Ingredient
from ff_mm.parallel.team import Team


def randomised(model):
    """Statistics and affine maps that are not those of a new network."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def runner(images):
    """Runs a network on images, in the dtype of its weights."""
    return lambda model: model(images.to(next(model.parameters())))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 1)
        self.norm2 = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.norm1(self.conv1(x)).relu()
        return x + self.norm2(self.conv2(x))


class UsesTheConvolutionElsewhere(Block):
    def forward(self, x):
        y = self.conv1(x)
        return self.norm1(y) + y


class NormalisesTwice(Block):
    def forward(self, x):
        return self.norm1(self.norm1(self.conv1(x)))


class NormFirst(Block):
    def forward(self, x):
        return self.norm2(self.conv1(x).relu())


def networks():
    timm = pytest.importorskip('timm')
    lite = timm.create_model('tf_efficientnet_lite0', num_classes=3)
    return dict(block=Block(), resnet=timm.create_model('resnet18'), lite=lite)


@pytest.mark.parametrize('name', ['block', 'resnet', 'lite'])
def test_outputs_stay_and_fewer_layers_remain(name):
    model = randomised(networks()[name])
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected = model(images)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        found = find_foldable(model, runner(images))
        BatchNormFolding(model, found.pairs).fold()
        got = model(images)
    assert found.problem is None
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    assert norms > 0
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


@torch.inference_mode()
def test_other_weights_are_loaded_into_the_same_tensors_and_folded():
    model, other = randomised(Block()), randomised(Block())
    for parameter in other.parameters():
        parameter.add_(0.1)
    weights, images = model.state_dict(), torch.rand(2, 3, 8, 8)
    folding = BatchNormFolding(model, find_foldable(model, runner(images)).pairs)
    for source in (other, randomised(Block()), other):
        folding.unfold()
        assert set(model.state_dict()) == set(weights)
        for key, value in source.state_dict().items():
            weights[key].copy_(value)
        torch.testing.assert_close(model(images), source(images))
        folding.fold()
        folding.fold()
        torch.testing.assert_close(model(images), source(images))


def as_built(model):
    """Batch norm of a new network does next to nothing, so neither does folding it."""
    return model.eval()


def of_a_silent_branch(model):
    """As residual blocks begin: what comes out of the norm is 0."""
    nn.init.zeros_(model.norm1.weight)
    return model.eval()


def diverged(model):
    model.norm1.running_var.fill_(-1)
    model.conv2.weight.data.fill_(float('nan'))
    return model.eval()


STATES = [randomised, as_built, of_a_silent_branch, diverged]


@pytest.mark.parametrize('state', STATES)
@pytest.mark.parametrize(
    'cls', [Block, UsesTheConvolutionElsewhere, NormalisesTwice, NormFirst]
)
@torch.inference_mode()
def test_what_can_be_folded_is_a_matter_of_the_network_alone(cls, state):
    """Weights and precision make no difference, and are left as they are."""
    model, images = state(cls()), torch.rand(2, 3, 8, 8)
    before = copy.deepcopy(model.state_dict())
    found = find_foldable(model, runner(images))
    with torch.autocast('cpu', torch.bfloat16), float32(tf32=True):
        assert find_foldable(model, runner(images)) == found
    if cls is Block:
        assert found == ([('conv1', 'norm1'), ('conv2', 'norm2')], None)
    elif cls is UsesTheConvolutionElsewhere:
        assert not found.pairs
        assert 'outputs would move by' in found.problem
    else:  # nobody would expect it
        assert found == ((), None)
    after = model.state_dict()
    assert set(after) == set(before)
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=0, atol=0, equal_nan=True)


class InFloat32Alone(Block):
    def forward(self, x):
        return super().forward(x.float() + torch.zeros(1, dtype=torch.float32))


class OfSomeWeightsAlone(Block):
    def forward(self, x):
        return super().forward(x) if self.conv1.bias is None else None.broken


def test_a_network_that_cannot_run_in_float64_is_tried_in_float32():
    model = randomised(InFloat32Alone())
    assert len(find_foldable(model, runner(torch.rand(2, 3, 8, 8))).pairs) == 2


def test_one_that_cannot_be_tried_stays_as_it_is_and_says_so():
    model = randomised(OfSomeWeightsAlone())
    found = find_foldable(model, runner(torch.rand(2, 3, 8, 8)))
    assert not found.pairs
    assert found.problem.startswith('it could not be tried (AttributeError:')


@torch.inference_mode()
def test_a_network_without_batch_norm_is_left_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    found = find_foldable(model, runner(torch.rand(1, 3, 8, 8)))
    assert found == ((), None)
    folding = BatchNormFolding(model, found.pairs)
    folding.fold()
    folding.unfold()
    assert len(model) == 2


def evaluate(team, folder, pool, finds):
    """Evaluates a model, as one process of a team: lines, pairs that fold, loss."""
    cfg = pool.copy()
    cfg.work_dir = str(folder / f'process{team.rank}')
    lines = []
    evaluator = ModelEvaluator(cfg, lines.append)
    candidates = CandidateEvaluator(
        evaluator,
        EvaluationMemo({}, team),
        {'one': 'digest'},
        Selection('loss', 'less'),
        team,
    )
    file = min(Path(pool.work_dir).glob('ingredients/*.pth'))
    one = Ingredient.from_file(file, 'one')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_evaluator, 'find_foldable', finds[team.rank])
        (metrics,) = candidates.evaluate([Candidate('one', one.recipe, one.load)])
    pairs = evaluator.prepare_folding().pairs
    evaluator.close()
    return lines, len(pairs), metrics['loss']


def nobody_asks(*_):
    raise AssertionError('two processes may decide differently')


def nothing_fits(*_):
    return Foldable((), 'outputs would move by 1.0e-01 of the largest')


def test_one_process_decides_for_all(small_pool, tmp_path):
    finds = [find_foldable, nobody_asks]
    first, second = in_team(2, evaluate, tmp_path, small_pool, finds)
    assert first[1] == second[1] > 0
    assert first[2] == second[2]


def test_a_rejection_is_told(small_pool, tmp_path):
    alone = Team.alone()
    lines, pairs, _ = evaluate(alone, tmp_path, small_pool, [nothing_fits])
    assert pairs == 0
    said = 'batch norm is not folded into convolutions: outputs would move by 1.0e-01'
    assert any(said in line for line in lines)
    lines, pairs, _ = evaluate(alone, tmp_path, small_pool, [find_foldable])
    assert pairs > 0
    assert not any('folded' in line for line in lines)
