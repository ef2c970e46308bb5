from __future__ import annotations

import copy
import logging
from pathlib import Path

import mmpretrain
import pytest
import timm
import torch
import torchvision
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from ff_mm.config import load_config, resolve
from ff_mm.engine import QuietRunner, checkpoint_io
from ff_mm.fission import FGGPlan, GenerationRunner, trial_config
from ff_mm.merging import CheckpointError
from ff_mm.models.starting_weights import check_starting_weights

CONFIGS = Path(__file__).parents[3] / 'configs'

MODEL_BASES = [
    path
    for path in sorted((CONFIGS / '_base_' / 'models').glob('*.py'))
    if 'starting_weights' in path.read_text()  # not of the UNet, which has none
]

RESNET = dict(type='ResNet', depth=18, stem_channels=4, base_channels=4)
VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=16),
    img_size=16,
    patch_size=8,
)
TIMM = dict(type='TIMMBackbone', model_name='resnet10t')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def log():
    """What the current logger of MMEngine says, as records."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = MMLogger.get_instance('starting_weights_test')
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def build(backbone, **init):
    """A backbone within a classifier, initialised as a Runner does it."""
    backbone = copy.deepcopy(dict(backbone))
    if init:
        backbone['init_cfg'] = dict(type='Pretrained', **init)
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone))
    model.init_weights()
    return model.backbone


def written(tmp_path, backbone, **changes):
    """A file with weights that no initialisation gives, and the weights."""
    model = MODELS.build(copy.deepcopy(dict(backbone)))
    weights = {
        name: torch.rand(value.shape) + 0.1 if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    weights.update(changes)
    torch.save(weights, tmp_path / 'model.pth')
    return str(tmp_path / 'model.pth'), weights


def assert_loaded(model, weights):
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.parametrize('backbone', [RESNET, VIT, TIMM], ids=lambda b: b['type'])
def test_no_later_initialisation_touches_what_was_loaded(tmp_path, backbone):
    file, weights = written(tmp_path, backbone)
    assert_loaded(build(backbone, checkpoint=file), weights)


def test_a_name_stands_for_its_place(tmp_path):
    file, weights = written(tmp_path, RESNET)
    model = build(RESNET, checkpoint='mine', sources=dict(mine=file, other='x.pth'))
    assert_loaded(model, weights)


def test_mmengines_prefix_works_as_before(tmp_path):
    file, weights = written(tmp_path, RESNET)
    torch.save({f'a.b.{k}': v for k, v in weights.items()}, file)
    assert_loaded(build(RESNET, checkpoint=file, prefix='a.b'), weights)
    with pytest.raises(CheckpointError, match=r"model\.pth.*prefix='backbone'.*a\.b\."):
        build(RESNET, checkpoint=file, prefix='backbone')


def test_the_log_says_in_one_line_what_was_loaded(tmp_path, log):
    file, _ = written(tmp_path, RESNET, **{'fc.weight': torch.ones(2)})
    build(RESNET, checkpoint=file)
    (line,) = [r for r in log if r.getMessage().startswith('starting weights')]
    assert line.levelno == logging.INFO
    assert f'{file}: 100 of 100 tensors of the ResNet loaded' in line.getMessage()
    assert 'head, not used (1): fc.weight' in line.getMessage()


def test_the_log_says_which_of_several_weights_were_taken(tmp_path, log):
    file, weights = written(tmp_path, RESNET)
    averaged = {key: value.clone() for key, value in weights.items()}
    torch.save(dict(model=weights, model_ema=averaged, epoch=9), file)
    build(RESNET, checkpoint=file)
    (line,) = [r for r in log if r.getMessage().startswith('starting weights')]
    assert "keys as in the model, of 'model', not of 'model_ema'" in line.getMessage()


def test_what_is_missing_is_warned_of_and_listed_whole(tmp_path, log):
    file, weights = written(tmp_path, RESNET)
    left = {k: v for k, v in weights.items() if not k.startswith('layer4.1.bn')}
    torch.save(left, file)
    build(RESNET, checkpoint=file)
    (warning,) = [r for r in log if r.levelno == logging.WARNING]
    assert 'not in the file (8): layer4.1.bn1' in warning.getMessage()
    assert 'layer4.1.bn2.running_var' not in warning.getMessage()
    assert any('layer4.1.bn2.running_var' in r.getMessage() for r in log)


def test_how_much_must_fit_is_an_option(tmp_path):
    file, weights = written(tmp_path, RESNET)
    del weights['bn1.bias']
    torch.save(weights, file)
    build(RESNET, checkpoint=file, least=0.99)
    with pytest.raises(CheckpointError, match=r'99 of 100 tensors fit.*bn1\.bias'):
        build(RESNET, checkpoint=file, least=1)
    torch.save({k: v for k, v in weights.items() if k.startswith('layer3')}, file)
    with pytest.raises(CheckpointError, match=r'25 of 100 tensors fit'):
        build(RESNET, checkpoint=file)
    build(RESNET, checkpoint=file, least=0.25)


def test_layers_that_the_network_has_not_are_warned_of(tmp_path, log):
    file, _ = written(tmp_path, RESNET, **{'layer4.1.conv2.bias': torch.ones(1)})
    build(RESNET, checkpoint=file)
    (warning,) = [r for r in log if r.levelno == logging.WARNING]
    assert 'of a larger network (1): layer4.1.conv2.bias' in (warning.getMessage())
    with pytest.raises(CheckpointError, match=r'of a larger network \(1\)'):
        build(RESNET, checkpoint=file, least=1)


@pytest.mark.parametrize(
    ('other', 'target'),
    [
        (VIT, RESNET),
        (RESNET, VIT),
        (RESNET, TIMM),
        (dict(RESNET, depth=50), RESNET),
        (RESNET, dict(RESNET, depth=50)),
        (dict(RESNET, depth=34), RESNET),
        (RESNET, dict(RESNET, depth=34)),
        (dict(RESNET, base_channels=8), RESNET),
    ],
)
def test_weights_of_another_network_are_an_error(tmp_path, other, target):
    file, _ = written(tmp_path, other)
    with pytest.raises(CheckpointError) as caught:
        build(target, checkpoint=file)
    message = str(caught.value)
    assert message.startswith(f'starting weights {file}: not of this {target["type"]}:')
    assert 'prefix' in message and '\n' not in message


@pytest.mark.parametrize('value', ['inf', 'nan'])
def test_weights_of_a_model_that_has_diverged_are_an_error(tmp_path, value):
    file, weights = written(tmp_path, RESNET)
    weights['layer1.0.conv1.weight'][0, 0, 0, 0] = float(value)
    torch.save(weights, file)
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv1\.weight' is .*diverg"):
        build(RESNET, checkpoint=file)


def test_no_checkpoint_at_all_is_an_error():
    with pytest.raises(CheckpointError, match=r'None: expected .* leave out init_cfg'):
        build(RESNET, checkpoint=None)


def test_code_in_a_file_does_not_run(malicious):
    file, marker = malicious
    with pytest.raises(CheckpointError, match=r'evil\.pth.*does not run code'):
        build(RESNET, checkpoint=str(file))
    assert not marker.exists()


def test_timms_own_way_to_load_a_file_goes_before(tmp_path):
    source = timm.create_model('resnet10t')
    file = str(tmp_path / 'timm.pth')
    torch.save(source.state_dict(), file)
    backbone = dict(TIMM, checkpoint_path=file)
    model = build(backbone, checkpoint='not/read.pth')
    assert torch.equal(model.timm_model.bn1.weight, source.bn1.weight)
    assert check_starting_weights(dict(type='ImageClassifier', backbone=backbone)) == []


def config(name, starting_weights):
    options = dict(starting_weights=starting_weights)
    return resolve(load_config(CONFIGS / f'{name}.py', options))


def test_one_option_of_a_config_gives_the_weights(tmp_path):
    file = str(tmp_path / 'resnet18.pth')
    source = torchvision.models.resnet18()
    torch.save(source.state_dict(), file)
    cfg = config('fgg_digits_resnet18', file)
    (line,) = check_starting_weights(cfg.model)
    assert line.startswith(f'starting weights {file}: 100 of 100 tensors of the ResNet')
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert torch.equal(model.backbone.layer4[1].bn2.weight, source.layer4[1].bn2.weight)


def test_checking_neither_logs_nor_changes_the_config(tmp_path, log):
    file = str(tmp_path / 'resnet10t.pth')
    torch.save(timm.create_model('resnet10t').state_dict(), file)
    init = dict(type='Pretrained', checkpoint=file)
    model = dict(type='ImageClassifier', backbone=dict(TIMM, init_cfg=init))
    before = copy.deepcopy(model)
    check_starting_weights(model)
    assert (log, model) == ([], before)
    MODELS.build(copy.deepcopy(model))
    assert log  # the test could have told


def test_torchvision_stands_for_its_second_weights_of_the_resnet50(monkeypatch):
    urls = []

    def download(url, **_):
        urls.append(url)
        return torchvision.models.resnet50().state_dict()

    monkeypatch.setattr(checkpoint_io, 'load_state_dict_from_url', download)
    (line,) = check_starting_weights(
        config('fgg_ham10000_resnet50', 'torchvision').model
    )
    assert '265 of 265 tensors' in line
    assert urls == [torchvision.models.ResNet50_Weights.IMAGENET1K_V2.url]


@pytest.mark.parametrize('path', MODEL_BASES, ids=lambda path: path.stem)
def test_the_names_in_the_configs_are_of_published_weights(path):
    zoo = Path(mmpretrain.__file__).parent / '.mim' / 'configs'
    published = ''.join(file.read_text() for file in zoo.rglob('metafile.yml'))
    cfg = Config.fromfile(path)
    sources = cfg.model.backbone.init_cfg.sources
    assert cfg.starting_weights is None or cfg.starting_weights in sources
    for place in sources.values():
        if place.startswith('https://download.openmmlab.com'):
            assert place.rsplit('/', 1)[1] in published  # the forks have their own host
    assert timm.is_model_pretrained(sources['timm'].removeprefix('timm://'))
    if 'torchvision' in sources:
        weights = torchvision.models.get_model_weights(path.stem.split('_')[0])
        assert sources['torchvision'] == weights.DEFAULT.url


def test_none_is_the_networks_own_initialisation():
    model = MODELS.build(config('fgg_ham10000_resnet50', None).model)
    model.init_weights()
    default = MODELS.build(dict(type='ResNet', depth=50)).init_cfg
    assert model.backbone.init_cfg == default
    assert not model.backbone.layer4[0].bn3.weight.any()  # zero_init_residual


def test_a_typing_error_stops_a_plan_before_training(generation_config, tmp_path):
    cfg = generation_config(tmp_path, starting_weights='timn')
    with pytest.raises(CheckpointError, match=r"'timn': no such file.*mean 'timm'"):
        GenerationRunner(cfg).train()
    assert not list(tmp_path.rglob('*.pth'))


def test_the_first_trial_starts_from_them_and_no_other_reads_them(
    generation_config, tmp_path
):
    cfg = generation_config(tmp_path)
    tiny = resolve(cfg).model.backbone
    file, weights = written(tmp_path, tiny)
    cfg.starting_weights = file
    probe, base, *_ = FGGPlan([1e-2]).trials()
    runner = QuietRunner.from_cfg(trial_config(cfg, probe, tmp_path / 'probe'))
    runner.model.init_weights()
    assert_loaded(runner.model.backbone, weights)
    runner.release()
    child = trial_config(cfg, base, tmp_path / 'base', parent_file='best.pth')
    assert file not in str(child.model)


KINDS = {
    'int8': lambda w: (w * 10).to(torch.int8),
    'float8': lambda w: w.to(torch.float8_e4m3fn),
    'bool': lambda w: w > 0,
    'complex': lambda w: w * (1 + 1j),
    'sparse': lambda w: w.to_sparse(),
    'quantised': lambda w: torch.quantize_per_tensor(w.float(), 0.1, 0, torch.qint8),
    'meta': lambda w: w.to('meta'),
}


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('alone', [True, False])
def test_what_is_no_plain_number_is_no_weight(tmp_path, kind, alone):
    file, weights = written(tmp_path, RESNET)
    change = {'conv1.weight'} if alone else {k for k in weights if weights[k].dim()}
    changed = {k: KINDS[kind](w) if k in change else w for k, w in weights.items()}
    torch.save({f'backbone.{key}': value for key, value in changed.items()}, file)
    match = r"starting weights .*model\.pth: key 'backbone\.conv1\.weight' holds a"
    with pytest.raises(CheckpointError, match=match):
        build(RESNET, checkpoint=file)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_another_length_are_cast(tmp_path, dtype):
    file, weights = written(tmp_path, RESNET)
    weights = {key: value.to(dtype) for key, value in weights.items()}  # counters, too
    torch.save(weights, file)
    backbone = build(RESNET, checkpoint=file)
    assert torch.equal(
        backbone.state_dict()['conv1.weight'], weights['conv1.weight'].float()
    )


def test_a_variance_that_is_negative_is_an_error(tmp_path):
    file, weights = written(tmp_path, RESNET)
    weights['bn1.running_var'][1] = -0.5
    torch.save(weights, file)
    with pytest.raises(CheckpointError, match=r"'bn1\.running_var' is negative"):
        build(RESNET, checkpoint=file)


def test_the_entry_to_take_can_be_given_and_the_others_are_named(tmp_path):
    file, weights = written(tmp_path, RESNET)
    ema = {f'module.{key}': value + 1 for key, value in weights.items()}
    torch.save(dict(model=weights, model_ema=ema), file)
    model = dict(type='ImageClassifier', backbone=dict(RESNET))
    model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=str(file))
    (line,) = check_starting_weights(model)
    assert "of 'model', not of 'model_ema' (entry='model_ema' takes it)" in line
    assert_loaded(build(RESNET, checkpoint=file), weights)
    averaged = {key.removeprefix('module.'): value for key, value in ema.items()}
    assert_loaded(build(RESNET, checkpoint=file, entry='model_ema'), averaged)
    with pytest.raises(
        CheckpointError, match=r"model\.pth: no entry='ema' .*'model_ema'"
    ):
        build(RESNET, checkpoint=file, entry='ema')
