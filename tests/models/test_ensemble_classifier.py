"""An ensemble says the mean of what its members say."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from toys import TINY_RESNET, TINY_VIT

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision
from ff_mm.evaluation.decisions.folding import fold, is_multilabel, last_layers
from ff_mm.evaluation.ensemble import logit_ensemble
from ff_mm.evaluation.predictions import Predictions
from ff_mm.models.ensemble_classifier import ensemble_model, ensemble_weights

ONE = dict(type='LinearClsHead', num_classes=3)
SEVERAL = dict(type='MaskedMultiLabelClsHead', num_classes=3, thr=0.5)
VIT = dict(type='VisionTransformerClsHead', num_classes=3)
PREPROCESSOR = dict(type='ClsDataPreprocessor', mean=[100] * 3, std=[50] * 3)
MEMBERS = {
    'one class': dict(TINY_RESNET, head=dict(ONE, in_channels=4)),
    'labels': dict(TINY_RESNET, head=dict(SEVERAL, in_channels=4)),
    'vit': dict(TINY_VIT, head=dict(VIT, in_channels=8)),
    'vit labels': dict(TINY_VIT, head=dict(SEVERAL, in_channels=8)),
}
IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255


def build(model):
    model = copy.deepcopy(model)
    return MODELS.build(dict(model, data_preprocessor=dict(PREPROCESSOR))).eval()


def scores(model):
    data = dict(inputs=IMAGES, data_samples=[DataSample() for _ in IMAGES])
    with torch.no_grad():
        return torch.stack([s.pred_score for s in model.test_step(data)]).double()


def made(member, weights, average, spread=3.0):
    """Networks that disagree, and the ensemble of them."""
    torch.manual_seed(0)
    member = dict(member, type='ImageClassifier')
    members = [build(member) for _ in weights]
    for model in members:
        for name, value in model.head.named_parameters():
            torch.nn.init.normal_(value, std=spread if 'weight' in name else 1)
    ensemble = build(ensemble_model(member, weights, average))
    state = ensemble_weights([m.state_dict() for m in members], 3)
    assert set(state) == set(ensemble.state_dict())
    ensemble.load_state_dict(state)
    return members, ensemble, state


def predictions(said, labels):
    truth = np.zeros((6, 3), int) if labels else np.zeros(6, int)
    return Predictions(said.numpy(), truth, tuple('abcdef'))


@pytest.mark.parametrize('member', MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize('weights', [[1, 1, 1], [3.0, 1.0]], ids=['equal', 'weighted'])
def test_probabilities_are_the_weighted_mean_of_the_members(member, weights):
    members, ensemble, _ = made(member, weights, 'probabilities')
    each = torch.stack([scores(model) for model in members])
    shares = torch.tensor(weights, dtype=torch.float64)[:, None, None] / sum(weights)
    assert (each[0] - each[1]).abs().max() > 0.1
    torch.testing.assert_close(
        scores(ensemble), (each * shares).sum(0), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize('member', MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize(
    ('spread', 'near'),
    # Of a probability near 1 float32 does not know the logit well.
    [(0.3, 2e-6), (300.0, 0.02)],
    ids=['usual', 'saturated'],
)
def test_logits_are_those_of_the_logit_ensemble(member, spread, near):
    members, ensemble, _ = made(member, [1, 1, 1], 'logits', spread)
    labels = is_multilabel(members[0])
    each = [predictions(scores(model), labels) for model in members]
    expected = torch.from_numpy(logit_ensemble(each).scores).double()
    torch.testing.assert_close(scores(ensemble), expected, atol=near, rtol=0)


@pytest.mark.parametrize('average', ['probabilities', 'logits'])
@pytest.mark.parametrize('member', MEMBERS.values(), ids=MEMBERS)
def test_a_decision_goes_into_its_head(member, average):
    _, ensemble, state = made(member, [2, 1], average)
    with torch.no_grad():
        inputs = ensemble.data_preprocessor(dict(inputs=IMAGES))['inputs']
        before = ensemble(inputs, mode='tensor').double().numpy()
        decision = Decision(0.7, (0.5, -1.0, 0.2))
        ensemble.load_state_dict(fold(decision, state, last_layers(ensemble)))
        after = ensemble(inputs, mode='tensor').double().numpy()
    np.testing.assert_allclose(after, decision.apply(before), atol=1e-5, rtol=1e-5)


def test_it_starts_as_the_mean_and_labels_are_those_of_the_members_threshold():
    member = dict(MEMBERS['labels'], type='ImageClassifier')
    member['head'] = dict(member['head'], thr=0.3)
    model = ensemble_model(member, [1, 1], 'logits')
    assert model['head']['thr'] == 0.3
    ensemble = build(model)
    ensemble.init_weights()
    assert torch.equal(ensemble.head.fc.weight, torch.eye(3))
    data = dict(inputs=IMAGES, data_samples=[DataSample() for _ in IMAGES])
    for sample in ensemble.test_step(data):
        expected = (sample.pred_score >= 0.3).nonzero().flatten()
        assert torch.equal(sample.pred_label, expected)


def test_members_read_no_weights_of_their_own_and_images_are_preprocessed_once():
    pretrained = dict(type='Pretrained', checkpoint='nowhere.pth')
    member = dict(MEMBERS['one class'], type='ImageClassifier')
    member['backbone'] = dict(member['backbone'], init_cfg=pretrained)
    member['data_preprocessor'] = dict(PREPROCESSOR)
    model = ensemble_model(member, [1, 1], 'logits')
    assert model['data_preprocessor'] == PREPROCESSOR
    assert 'data_preprocessor' not in model['member']
    assert model['member']['backbone']['init_cfg'] is None
    assert member['data_preprocessor'] == PREPROCESSOR


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(weights=[]), 'model.weights'),
        (dict(weights=[1, -1]), 'model.weights'),
        (dict(weights=[1, float('nan')]), 'model.weights'),
        (dict(average='votes'), 'probabilities, logits'),
    ],
)
def test_what_is_no_ensemble_is_refused(changes, said):
    member = dict(MEMBERS['one class'], type='ImageClassifier')
    model = dict(ensemble_model(member, [1], 'logits'), **changes)
    with pytest.raises(ConfigError, match=said):
        build(model)
    headless = {k: v for k, v in member.items() if k != 'head'}
    with pytest.raises(ConfigError, match='num_classes'):
        ensemble_model(headless, [1], 'logits')
