from __future__ import annotations

import pytest
import torch
from foreign import foreign_config
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TASK_UTILS
from torch import nn

from ff_mm.errors import ConfigError
from ff_mm.fusion.deployment import deployment_config
from ff_mm.models import LinearProbe
from ff_mm.tasks import Task, scope_of, task_of


@TASK_UTILS.register_module()
class Counting(Task):
    """A task of somebody's own."""


@MODELS.register_module()
class TwoHeads(BaseModel):
    """Two parts that are named as heads, and a body with batch norm and dropout."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.body = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.decode_head = nn.Linear(4, 1)
        self.aux_head = nn.Linear(4, 1)

    def forward(self, inputs, mode='tensor'):
        return self.decode_head(self.body(inputs))


@pytest.mark.parametrize(
    ('said', 'kind'),
    [
        (dict(default_scope='mmpretrain'), 'Classification'),
        (dict(default_scope='mmdet'), 'Task'),
        (dict(), 'Task'),
        (dict(default_scope='mmpretrain', task=dict(type='Task')), 'Task'),
        (dict(default_scope='mmengine', task=dict(type='Counting')), 'Counting'),
    ],
)
def test_a_config_says_its_task_or_its_scope_does(said, kind):
    assert type(task_of(Config(said))).__name__ == kind
    assert scope_of(said) == said.get('default_scope', 'mmengine')


@pytest.mark.parametrize(
    ('task', 'message'),
    [
        ('Task', r"task='Task': expected dict\(type='Task'\)"),
        (dict(type='Tsak'), 'task=.*Tsak is not in'),
        (dict(type='Task', head='fc'), 'task=.*head'),
        (dict(type='FGGPlan', lrs=[1e-3]), "'FGGPlan': is no task"),
    ],
)
def test_what_is_no_task_is_refused_in_one_line(task, message):
    with pytest.raises(ConfigError, match=message):
        task_of(dict(default_scope='mmengine', task=task))


def test_scores_are_asked_for_by_name():
    task_of(dict(default_scope='mmpretrain')).require_scores('soup.decision')
    with pytest.raises(ConfigError, match=r"soup\.decision: needs .* task 'Counting'"):
        Counting().require_scores('soup.decision')


def probe(**options):
    return LinearProbe(dict(type='TwoHeads'), **options)


def trained(model):
    return {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}


def test_a_probe_trains_what_is_named_a_head_or_what_it_is_told():
    assert trained(probe()) == {'decode_head', 'aux_head'}
    assert trained(probe(heads=['aux_head'])) == {'aux_head'}
    plain = MODELS.build(dict(type='TwoHeads')).state_dict()
    assert list(probe().state_dict()) == list(plain)


@pytest.mark.parametrize('norm_eval', [False, True])
def test_the_frozen_part_has_no_dropout_and_batch_norm_as_asked(norm_eval):
    model = probe(norm_eval=norm_eval)
    model.train()
    norm, dropout = model.body[1], model.body[2]
    assert (norm.training, dropout.training) == (not norm_eval, False)
    assert model.training and model.decode_head.training
    before = norm.running_mean.clone()
    model(torch.randn(8, 2))
    assert torch.equal(before, norm.running_mean) == norm_eval
    model.eval()
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize('model', ['CurveFit', 'TwoHeads'])
def test_a_probe_without_a_head_says_which_parts_there_are(model):
    heads = None if model == 'CurveFit' else ['fc']
    with pytest.raises(ConfigError, match=r'say which of \[.*plan\.probe\.freeze'):
        LinearProbe(dict(type=model), heads=heads)


def test_a_deployed_config_keeps_others_modules_and_none_of_ff_mm(tmp_path):
    imports = dict(imports=['ff_mm', 'json', 'ff_mm.models'])
    pretrained = dict(type='Pretrained', checkpoint='nowhere.pth')
    cfg = foreign_config(
        tmp_path,
        custom_imports=imports,
        model=dict(type='CurveFit', init_cfg=pretrained, data_preprocessor=dict()),
    )
    kept = deployment_config(Config(cfg))
    assert kept.default_scope == 'mmengine'
    assert kept.custom_imports.imports == ['json']
    assert kept.model.init_cfg is None
    assert 'data_preprocessor' in kept.model
