from __future__ import annotations

import copy

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from toys import TINY_RESNET, TINY_VIT

DROPPING = dict(drop_path_rate=0.9)
RESNET = dict(
    TINY_RESNET,
    backbone=dict(TINY_RESNET['backbone'], **DROPPING, zero_init_residual=False),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=4, topk=(1,)),
)
VIT = dict(
    backbone=dict(TINY_VIT['backbone'], **DROPPING, drop_rate=0.9),
    head=dict(type='VisionTransformerClsHead', num_classes=3, in_channels=8, topk=(1,)),
)
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SAMPLES = [DataSample().set_gt_label(i % 3) for i in range(6)]


def build(cfg, probed=True, **options):
    torch.manual_seed(0)
    built = dict(type='ImageClassifier', **copy.deepcopy(cfg))
    if probed:
        built = dict(type='mmengine.LinearProbe', model=built, **options)
    with MODELS.switch_scope_and_registry('mmpretrain'):
        model = MODELS.build(built)
    model.init_weights()
    return model


def train_step(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model.train()
    losses = model.loss(IMAGES, SAMPLES)
    losses['loss'].backward()
    optimizer.step()


@pytest.mark.parametrize('cfg', [RESNET, VIT], ids=['resnet', 'vit'])
def test_only_the_head_gets_gradients_and_moves(cfg):
    model = build(cfg)
    before = {k: v.detach().clone() for k, v in model.named_parameters()}
    train_step(model)
    moved = {k for k, v in model.named_parameters() if not torch.equal(v, before[k])}
    graded = {k for k, v in model.named_parameters() if v.grad is not None}
    assert moved == graded == {k for k in before if k.startswith('head.')}
    assert moved


@pytest.mark.parametrize('norm_eval', [False, True])
def test_batch_norm_statistics_follow_the_data_unless_told_not_to(norm_eval):
    model = build(RESNET, norm_eval=norm_eval)
    before = {k: v.clone() for k, v in model.named_buffers()}
    train_step(model)
    changed = {k for k, v in model.named_buffers() if not torch.equal(v, before[k])}
    assert changed == (set() if norm_eval else set(before))


@pytest.mark.parametrize('cfg', [RESNET, VIT], ids=['resnet', 'vit'])
def test_dropout_and_drop_path_of_the_backbone_are_off_while_training(cfg):
    model = build(cfg)
    model.train()
    drops = [
        m
        for m in model.backbone.modules()
        if isinstance(m, nn.Dropout) or type(m).__name__ == 'DropPath'
    ]
    assert drops and not any(module.training for module in drops)
    assert all(p.training for p in model.head.modules())
    with torch.no_grad():
        one, two = model.extract_feat(IMAGES), model.extract_feat(IMAGES)
    assert torch.equal(one[0], two[0])
    plain = build(cfg, probed=False)
    plain.train()
    one, two = plain.extract_feat(IMAGES), plain.extract_feat(IMAGES)
    assert not torch.equal(one[0], two[0])  # the test could have told


def test_evaluation_mode_is_that_of_every_part():
    model = build(RESNET)
    model.train()
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    model.train()
    norms = [m for m in model.backbone.modules() if isinstance(m, _BatchNorm)]
    assert all(norm.training for norm in norms)


@pytest.mark.parametrize('cfg', [RESNET, VIT], ids=['resnet', 'vit'])
def test_weights_go_back_and_forth_between_it_and_the_plain_classifier(cfg):
    probe, plain = build(cfg), build(cfg, probed=False)
    assert list(probe.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(probe.state_dict(), strict=True)
    probe.eval()
    plain.eval()
    one, two = probe.extract_feat(IMAGES), plain.extract_feat(IMAGES)
    assert torch.equal(one[0], two[0])
    assert all(p.requires_grad for p in plain.parameters())


@pytest.mark.parametrize('cfg', [RESNET, VIT], ids=['resnet', 'vit'])
def test_nothing_of_the_frozen_part_is_kept_for_or_seen_by_the_backward_pass(cfg):
    def kept(probed):
        """Values that a training step keeps for the backward pass, and gradients."""
        model = build(cfg, probed)
        model.train()
        saved, passed = [], []
        features = {}
        model.backbone.register_full_backward_hook(lambda *_: passed.append('back'))
        model.backbone.register_forward_hook(
            lambda _, __, outs: features.update(out=outs[-1])
        )
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: saved.append(t.numel()) or t, lambda t: t
        ):
            loss = model.loss(IMAGES, SAMPLES)['loss']
        loss.backward()
        return sum(saved), passed, features['out'].requires_grad

    values, passed, graph = kept(probed=True)
    # The features, the head's weights and what the loss needs: nothing of the images'
    # size.
    assert values < 6 * 3 * 16
    assert not passed and not graph
    values, passed, graph = kept(probed=False)
    assert values > 6 * 3 * 16 * 16 and passed and graph  # the test could have told
