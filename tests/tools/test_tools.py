"""The tools as users call them; what they compute is tested where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ff_mm import cores
from ff_mm.config import load_config
from ff_mm.files import read_json
from ff_mm.merging.state_dict import read_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def compare(tmp_path, generation_config):
    """A file with a comparison of two methods over that generation."""
    base = load_config(ROOT / 'configs' / '_base_' / 'comparisons' / 'paper.py')
    cfg = generation_config(tmp_path / 'compare')
    cfg.pop('plan')
    methods = {name: base.methods[name] for name in ('fgg_best', 'fgg_gog')}
    cfg.merge_from_dict(
        dict(
            runner_type='ComparisonRunner',
            methods=methods,
            baseline='fgg_best',
            pools=dict(fgg=str(tmp_path / 'fgg' / 'ingredients.json')),
            bootstrap=dict(resamples=100),
        )
    )
    cfg.dump(tmp_path / 'compare.py')
    return tmp_path / 'compare.py'


@pytest.fixture
def fuse(tmp_path, generation_config):
    """A file that makes one model of that generation; it could train, too."""
    base = load_config(ROOT / 'configs' / '_base_' / 'fuse.py')
    cfg = generation_config(tmp_path / 'fuse')
    cfg.merge_from_dict(
        dict(
            runner_type='FuseRunner',
            pool=str(tmp_path / 'fgg' / 'ingredients.json'),
            fusions=base.fusions,
            baseline=base.baseline,
            bootstrap=dict(resamples=100),
        )
    )
    cfg.plan = base.plan
    cfg.dump(tmp_path / 'fuse.py')
    return tmp_path / 'fuse.py'


@pytest.mark.parametrize(
    'name',
    [
        'train.py',
        'soup.py',
        'compare.py',
        'fuse.py',
        'test.py',
        'analysis_tools/soup_tree.py',
    ],
)
def test_help_names_the_common_options_and_an_example(tool, capsys, name):
    assert tool(name, '--help') == 0
    out = capsys.readouterr().out
    for text in ('--work-dir', '--cfg-options', f'python tools/{name}'):
        assert text in out
    # What runs in one process does not offer to be launched.
    assert ('--launcher' in out) == (name not in ('compare.py', 'fuse.py'))


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        ('train.py absent.py', 'absent.py: no such config file'),
        ('soup.py absent.py', 'absent.py: no such config file'),
        ('compare.py absent.py', 'absent.py: no such config file'),
        ('test.py absent.py absent.pth', 'absent.py: no such config file'),
        ('train.py {fgg} --no-validate', '--no-validate'),
        ('train.py {fgg} --cfg-options plam.lrs=[1]', "did you mean 'plan'"),
        ('train.py {gog}', 'is a fusion config: python tools/soup.py {gog}'),
        ('soup.py {fgg}', 'is a generation config: python tools/train.py {fgg}'),
        ('compare.py {fgg}', 'is a generation config: python tools/train.py {fgg}'),
        ('train.py {compare}', 'comparison config: python tools/compare.py {compare}'),
        ('soup.py {compare}', 'comparison config: python tools/compare.py {compare}'),
        ('compare.py {plain}', 'it names no pools and methods'),
        ('fuse.py {gog}', 'is a fusion config: python tools/soup.py {gog}'),
        ('fuse.py {plain}', 'names no pool and fusions'),
        ('fuse.py {compare}', 'comparison config: python tools/compare.py {compare}'),
        ('fuse.py {fuse} --budget -3', 'budget=-3'),
        ('fuse.py {fuse}', 'run the generation first'),
        ('soup.py {fuse}', 'a fuse config: python tools/fuse.py {fuse}'),
        ('train.py {fuse}', 'a fuse config: python tools/fuse.py {fuse}'),
        ('soup.py {gog}', 'run the generation first'),
        ('compare.py {compare}', 'no such file; train this pool first'),
        ('test.py {gog} absent.pth', 'absent.pth: cannot be opened'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tool, fgg, gog, compare, fuse, plain, capsys, command, message
):
    files = dict(fgg=fgg, gog=gog, compare=compare, fuse=fuse, plain=plain)
    assert tool(*command.format(**files).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and message.format(**files) in error
    assert error.count('\n') == 1


def test_two_commands_from_config_to_soup(tool, fgg, gog, tmp_path, capsys):
    assert tool('train.py', fgg) == 0
    assert 'ingredients in' in capsys.readouterr().out
    assert tool('soup.py', gog) == 0
    assert f'{tmp_path}/gog/soup.pth' in capsys.readouterr().out
    assert read_json(tmp_path / 'gog' / 'report.json')['pool_size'] == 3


def test_options_of_the_command_line_reach_the_plan(tool, fgg, tmp_path):
    options = ['--cfg-options', 'plan.lrs=[5e-3]', 'plan.fission=None']
    assert tool('train.py', fgg, '--work-dir', tmp_path / 'w', *options) == 0
    entries = read_json(tmp_path / 'w' / 'ledger.json')['trials']
    assert [entry['id'] for entry in entries] == ['base_lr0.005']
    assert not (tmp_path / 'fgg').exists()


def test_a_recipe_of_the_command_line_reaches_the_plan(tool, fgg, tmp_path):
    recipe = ROOT / 'configs' / '_base_' / 'gpu.py'
    options = ['--cfg-options', 'plan.fission=None', 'cache_images=False']
    assert tool('train.py', fgg, '--recipe', recipe, *options) == 0
    config = read_json(tmp_path / 'fgg' / 'ledger.json')['config']
    assert config['channels_last'] is True
    assert config['optim_wrapper']['type'] == 'Bfloat16OptimWrapper'
    assert config['optim_wrapper']['optimizer']['type'] == 'AdamW'


def test_resume_of_a_plan_is_what_it_does_anyway(tool, fgg, tmp_path, capsys):
    options = ['--cfg-options', 'plan.fission=None']
    assert tool('train.py', fgg, *options) == 0
    before = (tmp_path / 'fgg' / 'ledger.json').read_bytes()
    assert tool('train.py', fgg, '--resume', *options) == 0
    assert (tmp_path / 'fgg' / 'ledger.json').read_bytes() == before
    assert tool('train.py', fgg, '--resume', 'x.pth') == 2
    assert '--resume x.pth: a plan goes on from its own' in capsys.readouterr().err


def test_a_changed_plan_in_the_same_folder_is_one_clear_error(tool, fgg, capsys):
    assert tool('train.py', fgg, '--cfg-options', 'plan.fission=None') == 0
    assert tool('train.py', fgg, '--cfg-options', 'plan.base.epochs=9') == 2
    assert 'plan.base.epochs: 1 -> 9' in capsys.readouterr().err


def test_a_plain_config_trains_as_in_mmpretrain(tool, plain, tmp_path):
    assert tool('train.py', plain) == 0
    assert (tmp_path / 'plain' / 'epoch_1.pth').is_file()
    assert not (tmp_path / 'plain' / 'ledger.json').exists()


def test_a_plain_run_does_not_go_by_a_number_of_workers_that_is_left_open(
    tool, plain, tmp_path, monkeypatch
):
    found = []
    for number in (1, 2):
        monkeypatch.setattr(cores, 'own_cores', lambda number=number: number)
        options = ['randomness.seed=1', 'train_dataloader.num_workers=auto']
        work_dir = tmp_path / f'{number}'
        command = [plain, '--work-dir', work_dir, '--cfg-options', *options]
        assert tool('train.py', *command) == 0
        found.append(read_checkpoint(work_dir / 'epoch_1.pth')['state_dict'])
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_a_plain_config_resumes(tool, plain, tmp_path):
    assert tool('train.py', plain) == 0
    more = ['--cfg-options', 'train_cfg.max_epochs=2']
    assert tool('train.py', plain, '--resume', *more) == 0
    second = read_checkpoint(tmp_path / 'plain' / 'epoch_2.pth')
    assert second['meta']['iter'] == 10
    assert second['optimizer']['state'][0]['step'] == 10


def test_a_plain_run_can_go_without_validation(tool, plain, tmp_path):
    assert tool('train.py', plain, '--no-validate') == 0
    (text,) = [f.read_text() for f in (tmp_path / 'plain').glob('*/*.log')]
    assert 'Epoch(val)' not in text


def test_a_comparison_from_the_command_line(tool, fgg, compare, tmp_path, capsys):
    assert tool('train.py', fgg) == 0
    assert tool('compare.py', compare) == 0
    out = capsys.readouterr().out
    assert 'FGG + GoG' in out
    comparison = read_json(tmp_path / 'compare' / 'comparison.json')
    assert list(comparison['methods']) == ['fgg_best', 'fgg_gog']
    file = comparison['recommendation']['file']
    assert file in out
    # The file is one that the other tools take.
    assert tool('test.py', compare, file) == 0


def test_from_a_pool_to_one_file_from_the_command_line(
    tool, fgg, fuse, tmp_path, capsys
):
    assert tool('train.py', fgg) == 0
    assert tool('fuse.py', fuse, '--budget', '1') == 0
    out = ' '.join(capsys.readouterr().out.split())
    assert 'distilled' in out and f'Deploy {tmp_path}/fuse/fused.pth' in out
    fused = tmp_path / 'fuse' / 'fused.pth'
    assert tool('test.py', fuse, fused) == 0
    assert tool('test.py', fused.with_name('deploy.py'), fused) == 2
    assert 'deploy.py: names no data' in capsys.readouterr().err


def test_a_plan_without_its_runner_is_one_clear_error(tool, fgg, capsys):
    cfg = Config.fromfile(fgg)
    cfg.pop('runner_type')
    cfg.dump(fgg)
    assert tool('train.py', fgg) == 2
    assert 'runner_type' in capsys.readouterr().err


def test_one_folder_is_not_for_several_soups(tool, gog, capsys):
    assert tool('soup.py', gog, gog, '--work-dir', 'x') == 2
    assert '--work-dir is for one config' in capsys.readouterr().err
