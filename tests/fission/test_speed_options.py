"""Options that make a plan faster, in whole plans: the same files, and resumption."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.apis import init_model
from trained_plans import train

from ff_mm.config import resolve
from ff_mm.files import read_json, sha256

SHORT = dict(
    plan__lrs=[1e-2],
    plan__probe=dict(epochs=1, lr=1e-2, _delete_=True),
    plan__base=dict(epochs=2, _delete_=True),
    custom_hooks=[dict(type='Interrupt')],
)
RECIPE = Path(__file__).parents[2] / 'configs' / '_base_' / 'gpu.py'
OPTIONS = dict(
    recipe=Config.fromfile(RECIPE).to_dict(),
    channels_last=dict(channels_last=True),
    fused=dict(channels_last=True, optim_wrapper__optimizer__fused=True),
    bfloat16=dict(channels_last=True, optim_wrapper__type='Bfloat16OptimWrapper'),
    device_pipeline=dict(device_pipeline=True),
    resident=dict(device_pipeline=dict(images='device')),
)


def ingredients(work_dir):
    folder = Path(work_dir) / 'ingredients'
    return {file.name: file for file in sorted(folder.iterdir())}


def digests(work_dir):
    return {name: sha256(file) for name, file in ingredients(work_dir).items()}


@pytest.fixture(scope='module')
def plain(tmp_path_factory, generation_config):
    """The work directory of the plan without options."""
    work_dir = tmp_path_factory.mktemp('plain')
    train(generation_config(work_dir, **SHORT))
    return work_dir


@pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS)
def test_a_plan_with_options_resumes_bit_for_bit_and_leaves_the_same_kind_of_files(
    tmp_path, generation_config, plain, interrupt, options
):
    train(generation_config(tmp_path / 'unbroken', **SHORT, **options))

    cfg = generation_config(tmp_path / 'broken', **SHORT, **options)
    moments = [('base_lr0.01', 2, 'training'), ('fission_lr0.01', 2, 'training')]
    for moment in [*moments, ('fission_lr0.01', 3, 'validation')]:
        interrupt.moment = moment
        with pytest.raises(KeyboardInterrupt):
            train(cfg)
    train(cfg)
    assert digests(tmp_path / 'broken') == digests(tmp_path / 'unbroken')

    assert digests(tmp_path / 'unbroken') != digests(plain)  # the option did something
    for name, file in ingredients(tmp_path / 'unbroken').items():
        found = torch.load(file, weights_only=True)['state_dict']
        reference = torch.load(ingredients(plain)[name], weights_only=True)
        assert list(found) == list(reference['state_dict'])
        for key, value in reference['state_dict'].items():
            assert (found[key].dtype, found[key].stride()) == (
                value.dtype,
                value.stride(),
            )
    # A model of stock MMPretrain, which computes as the recorded metrics say.
    init_model(resolve(cfg), str(file), device='cpu')


def test_channels_last_gives_the_results_of_the_plain_plan_but_for_rounding(
    tmp_path, generation_config, plain
):
    train(generation_config(tmp_path, **SHORT, channels_last=True))
    for name, file in ingredients(plain).items():
        one, two = (
            torch.load(path, weights_only=True)['meta']['ingredient']['metrics']
            for path in (file, tmp_path / 'ingredients' / name)
        )
        assert one['loss'] == pytest.approx(two['loss'], rel=0.02)


def test_a_fission_that_is_validated_every_epoch_leaves_the_same_snapshots(
    tmp_path, generation_config, plain
):
    changes = dict(plan__fission__validate='every_epoch')
    train(generation_config(tmp_path, **SHORT, **changes))
    assert digests(tmp_path) == digests(plain)

    def validations(work_dir):
        (log,) = Path(work_dir).glob('trials/fission_*/*/*.log')
        return log.read_text().count('Epoch(val)')

    assert validations(tmp_path) == 3
    assert validations(plain) == 2
    assert read_json(tmp_path / 'ledger.json')['trials'][2]['epochs'] == 3
