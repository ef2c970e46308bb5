"""``tools/train.py --auto-scale-lr``: for single runs, and refused for plans."""

from __future__ import annotations

import pytest

from ff_mm.merging.state_dict import read_checkpoint


@pytest.mark.parametrize(
    'options',
    [('--auto-scale-lr',), ('--cfg-options', 'auto_scale_lr.enable=True')],
)
def test_a_plan_has_the_learning_rates_that_it_states(
    tool, tmp_path, generation_config, capsys, options
):
    generation_config(tmp_path / 'fgg').dump(tmp_path / 'fgg.py')
    assert tool('train.py', tmp_path / 'fgg.py', *options) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: --auto-scale-lr') and 'plan.lrs' in error
    assert not (tmp_path / 'fgg').exists()


def test_a_single_run_is_scaled_by_mmengine(tool, tmp_path, plain):
    assert tool('train.py', plain, '--auto-scale-lr') == 0
    checkpoint = read_checkpoint(tmp_path / 'plain' / 'epoch_1.pth')
    assert checkpoint['optimizer']['param_groups'][0]['lr'] == pytest.approx(5e-4)
