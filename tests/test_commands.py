"""``ff-mm``: its commands, and what they ask of the time of who types them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import ff_mm
from ff_mm_commands import folders, main, run, table
from ff_mm_commands.table import COMMANDS, called, typed

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def not_the_console(monkeypatch):
    monkeypatch.setattr(table, '_as_console', [False])


def ff_mm_command(*words):
    """Types ``ff-mm``; gives the exit code."""
    try:
        main(list(map(str, words)))
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.mark.parametrize('name', COMMANDS)
def test_each_command_has_its_options_its_tool_and_its_body(name, capsys):
    assert ff_mm_command(name, '--help') == 0
    out = capsys.readouterr().out
    assert out.startswith(f'usage: ff-mm {name} ') and 'python tools/' not in out
    command, module = COMMANDS[name], name.replace('-', '_')
    if command.tool is not None:
        assert f"run('{name}')" in (ROOT / 'tools' / command.tool).read_text()
        assert callable(import_module(f'ff_mm.commands.{command.body or module}').run)


def test_each_tool_is_a_command():
    tools = [
        *(ROOT / 'tools').glob('*.py'),
        *(ROOT / 'tools' / 'analysis_tools').glob('*.py'),
        *(ROOT / 'tools' / 'dataset_converters').glob('*.py'),
    ]
    names = {tool.relative_to(ROOT / 'tools').as_posix() for tool in tools}
    known = {command.tool for command in COMMANDS.values() if command.tool}
    assert names - {'torchrun.py'} == known


@pytest.mark.parametrize(
    'words',
    [
        '--help',
        '--version',
        'trian',
        'train --help',
        'train x --epoch 3',
        'soup --help',
        'check --help',
        'configs digits',
        'where',
    ],
)
def test_who_asks_for_help_or_mistypes_does_not_wait_for_torch(words):
    code = (
        'import atexit, sys\n'
        "heavy = {'torch', 'numpy', 'mmengine', 'ff_mm'}\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules))))\n"
        'from ff_mm_commands import main\n'
        'main()'
    )
    command = [sys.executable, '-c', code, *words.split()]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout
    assert out.splitlines()[-1] == 'heavy: []'


def test_without_words_it_says_what_there_is(capsys):
    assert ff_mm_command() == 0
    out = capsys.readouterr().out
    assert all(f'  {name} ' in out for name in COMMANDS)
    assert ff_mm_command('--version') == 0
    assert capsys.readouterr().out == f'ff_mm {ff_mm.__version__}\n'


def test_a_mistyped_command_is_one_line_with_the_nearest(capsys):
    assert ff_mm_command('trian', 'x') == 2
    assert capsys.readouterr().err == (
        "error: 'trian': no such command; did you mean train?\n"
    )
    assert ff_mm_command('42') == 2
    assert capsys.readouterr().err.endswith('no such command; see ff-mm --help\n')


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        ('--dryrun', '--dryrun; did you mean --dry-run?'),
        ('--work_dir=a', '--work_dir=a; did you mean --work-dir?'),
        ('--zzz', '--zzz'),
    ],
)
def test_a_mistyped_option_is_answered_with_the_nearest(option, hint, capsys):
    with pytest.raises(SystemExit):
        main(['predict', 'm', 'x', '--outt', 'a.csv'])
    assert capsys.readouterr().err.endswith('did you mean --out?\n')
    with pytest.raises(SystemExit):
        main(['train', 'x', option])
    assert capsys.readouterr().err.endswith(f'unrecognized arguments: {hint}\n')


def test_messages_name_the_command_that_was_typed(capsys, monkeypatch):
    assert ff_mm_command('soup', 'fgg_digits_resnet18') == 2
    err = capsys.readouterr().err
    assert 'is a generation config: ff-mm train ' in err
    monkeypatch.setattr(table, '_as_console', [False])
    with pytest.raises(SystemExit):
        run('soup', ['fgg_digits_resnet18'])
    assert 'config: python tools/train.py ' in capsys.readouterr().err


def test_how_a_command_is_typed():
    assert typed('check') == 'python tools/dataset_converters/check_dataset.py'
    assert called('loss-surface') == 'tools/analysis_tools/loss_surface.py'
    assert typed('configs') == 'ff-mm configs'  # which is no file of tools/
    table.started_as_console()
    assert (typed('check'), called('soup')) == ('ff-mm check', 'ff-mm soup')


def test_the_names_of_configs_are_those_that_commands_take(capsys):
    assert ff_mm_command('configs', 'ham10000', 'deit_base') == 0
    names = capsys.readouterr().out.split()
    assert 'ham10000/fgg_ham10000_deit_base' in names
    assert all('ham10000' in name and 'deit_base' in name for name in names)
    assert not any(name.startswith('_base_') for name in folders.config_names())
    assert ff_mm_command('configs', 'nothing of this name') == 1


def test_where_the_folders_are(capsys):
    assert ff_mm_command('where', 'tools') == 0
    assert capsys.readouterr().out == f'{ROOT / "tools"}\n'
    assert ff_mm_command('where') == 0
    assert f'{ROOT / "configs"}\n' in capsys.readouterr().out


def test_an_installed_wheel_has_them_within_the_package(tmp_path, monkeypatch):
    (tmp_path / 'ff_mm' / '.mim' / 'configs').mkdir(parents=True)
    (tmp_path / 'tools').mkdir()
    monkeypatch.setattr(folders, 'package', lambda: tmp_path / 'ff_mm')
    assert folders.shipped('configs') == tmp_path / 'ff_mm' / '.mim' / 'configs'
    assert folders.shipped('tools') == tmp_path / 'tools'


def test_without_torch_a_command_says_in_a_line_what_to_install():
    code = (
        f'import sys; sys.path.insert(0, {str(ROOT)!r})\n'
        'from ff_mm_commands import main\n'
        "main(['train', 'x'])"
    )
    command = [sys.executable, '-S', '-c', code]  # without what is installed
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    said = 'error: ff_mm: torch is not installed: pip install -e ".[openmmlab]"\n'
    assert done.stderr == said
