"""Names of anyone, on a terminal and in logs."""

from __future__ import annotations

import ast
import io
import logging
from pathlib import Path

import pytest
from mmengine.logging import MMLogger
from rich.console import Console

from ff_mm.display.console import log, say, stacked, words
from ff_mm.display.progress import CountProgress
from ff_mm.display.tables import Table, evaluation_table, generation_table, soup_table
from ff_mm.engine import mmengine_patches  # noqa: F401
from ff_mm.fission.progress import PlanProgress

ROOT = Path(__file__).parents[2]
HOSTILE = '\x1b]0;x\x07[/x] :smile:\nforged'
ESCAPED = r'\x1b]0;x\x07[/x] :smile:\nforged'
METRICS = {'accuracy': 0.5, HOSTILE: 1.0}
RECORD = dict(id=HOSTILE, epochs=1, metrics=METRICS, ingredients=[], seconds=1.0)
FAILURE = dict(kind='diverged', reason=HOSTILE)
COST = dict(trials=1, epochs=1, seconds=1.0)
REPORT = dict(
    metric=HOSTILE,
    title=HOSTILE,
    val={HOSTILE: 0.5},
    test=None,
    ood={HOSTILE: {HOSTILE: 0.5}},
    ingredients=[],
    pool_size=1,
    evaluations=dict(selection=1, basins=0),
    seconds=1.0,
    generation_cost=COST,
)


def table(console):
    shown = Table(HOSTILE, title=HOSTILE)
    shown.add_column(HOSTILE)
    shown.add_row(HOSTILE, stacked(words(HOSTILE), words('below')))
    console.print(shown)


def trials(console):
    entries = [
        dict(RECORD, state='done'),
        dict(id='b', state='failed', failure=FAILURE),
    ]
    manifest = dict(ingredients=[], cost=COST)
    generation_table(entries, manifest, 'w', console)


def bar(console):
    with CountProgress(HOSTILE, 1, console) as progress:
        progress.advance()


def plan(console):
    entry = dict(id=HOSTILE, state='planned', planned_epochs=1)
    with PlanProgress([entry], console) as progress:
        progress.start_trial(HOSTILE, 0, 1)
        progress.end_epoch(1, METRICS)
        progress.end_trial()


@pytest.mark.parametrize('terminal', [False, True])
@pytest.mark.parametrize(
    'show',
    [
        lambda console: say(HOSTILE, console),
        table,
        trials,
        lambda console: soup_table([REPORT], console),
        lambda console: evaluation_table(REPORT, HOSTILE, console),
        bar,
        plan,
    ],
    ids=['say', 'table', 'trials', 'soups', 'evaluation', 'bar', 'plan'],
)
def test_names_are_shown_and_not_obeyed(show, terminal):
    out = io.StringIO()
    show(Console(file=out, width=400, force_terminal=terminal))
    text = out.getvalue()
    assert '\x1b]0' not in text and '\x07' not in text
    assert '\nforged' not in text
    # A bar of a few things says nothing in a log.
    assert ESCAPED in text or (show is bar and not terminal)


@pytest.fixture
def logged(tmp_path):
    """A logger of MMEngine, and what its file says."""
    file = tmp_path / 'x.log'
    logger = MMLogger.get_instance(f'test of {tmp_path}', log_file=str(file))
    yield logger, file.read_text
    for handler in logger.handlers:
        handler.close()
    MMLogger._instance_dict.pop(logger.instance_name)


def test_a_line_of_our_own_is_one_line_in_the_log(logged):
    _, text = logged
    log(HOSTILE, logging.INFO)
    assert text().endswith(f'{ESCAPED}\n') and text().count('\n') == 1


def test_a_log_of_mmengine_keeps_its_lines_and_obeys_nothing(logged, capfd):
    logger, text = logged
    logger.warning('a\n%s', '\x1b[31mb')
    assert text().endswith('a\n\\x1b[31mb\n')
    assert '\x1b[31mb' not in capfd.readouterr().err


def calls():
    """File, function and arguments of each call in what users run."""
    files = [*(ROOT / 'ff_mm').rglob('*.py'), *(ROOT / 'tools').rglob('*.py')]
    for file in files:
        if {'benchmarks', 'display'} & set(file.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call):
                yield f'{file}:{node.lineno}', ast.unparse(node.func), node.args


def test_whoever_prints_does_so_by_one_of_these():
    """Text goes through ``words`` or ``one_line``, which is where it is escaped."""
    makes_text = {'Text', 'Text.from_markup', 'RichTable', 'print_log'}
    own = ('one_line(', 'describe_data_parallel(', 'message', "'term", "f'the process")
    odd = []
    for place, name, arguments in calls():
        shown = [ast.unparse(each) for each in arguments]
        if name in makes_text or name.endswith('rich_table.Table'):
            odd.append(place)
        if name == 'TextColumn':
            odd += [place for text in shown if '{' in text]
        if name == 'print':
            odd += [place for text in shown if not text.startswith(own)]
        if name.endswith('console.print'):
            odd += [place for text in shown if text.startswith(("'", 'f', '"'))]
    assert not odd
