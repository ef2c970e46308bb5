"""Names of anyone, in files that others show or carry out."""

from __future__ import annotations

import ast
import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from ff_mm.display.csv_file import write_csv
from ff_mm.display.escaping import csv_cell, latex, markdown
from ff_mm.display.figures import save_figure
from ff_mm.fusion.report import write_report

ROOT = Path(__file__).parents[2]
HOSTILE = '<img src=x>|[a](b)`c`*d*~~e~~&\\f\n\x1b[31m# g'


def test_markdown_means_nothing_but_itself():
    assert markdown(HOSTILE) == (
        r'\<img src=x\>\|\[a\](b)\`c\`\*d\*\~\~e\~\~&amp;\\f \\x1b\[31m# g'
    )
    assert markdown('base_lr0.001, größer') == 'base_lr0.001, größer'


def test_latex_means_nothing_but_itself():
    assert latex('$x$ %\\input{y}\n\x1b') == (
        r'\$x\$ \%\textbackslash{}input\{y\} \textbackslash{}x1b'
    )


@pytest.mark.parametrize(
    'text',
    ['=1+1', '+cmd|x', '-1+1', '@SUM(1)', ' =1', '\t=1', '\r\n=1', '＝1', '-', "=''"],
)
def test_a_formula_is_a_text(text):
    cell = csv_cell(text)
    assert cell.lstrip("'") != cell or not cell.lstrip().startswith(tuple('=+-@＝'))
    assert csv_cell(cell) == cell


@pytest.mark.parametrize('value', ['-0.5', '+1e-3', '-inf', 'a=b', 'a-b', '', -1, None])
def test_what_is_no_formula_stays(value):
    assert csv_cell(value) == value


def test_rows_and_heads_of_a_csv_file(tmp_path):
    write_csv(tmp_path / 'a.csv', [{'=h': '=1+1', 'b\nc': -0.5}])
    with open(tmp_path / 'a.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [["'=h", 'b\\nc'], ["'=1+1", '-0.5']]


def test_a_figure_with_such_names_can_be_read(tmp_path):
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(HOSTILE)
    axes.set_xticks([0], ['\x00\x9b\ufffe'])
    axes.set_xlabel('\u6bd2')
    with pytest.warns(UserWarning) as warned:
        files = save_figure(figure, tmp_path / 'a', ('png', 'svg', 'pdf'))
    assert {str(each.message)[:12] for each in warned} == {'Glyph 27602 '} | {
        'Glyph 65534 '
    }
    texts = ''.join(ET.parse(files[1]).getroot().itertext())
    assert r'\x1b[31m# g' in texts and r'\x00\x9b\ufffe' in texts


def test_a_report_of_such_names(tmp_path):
    metrics = {HOSTILE: 0.5, f'recall/{HOSTILE}': 0.5}
    report = dict(
        title=HOSTILE,
        metric=HOSTILE,
        rule='greater',
        pool_size=1,
        seconds=1.0,
        evaluations=dict(selection=1, stopped=0),
        val=metrics,
        test=None,
        ood={HOSTILE: metrics},
        bn_reestimation=None,
        levels=[dict(soup='uniform', merge=dict(type='ties'))],
        tree=dict(name=HOSTILE, merge=dict(type='ties'), members=[]),
        ingredients=[dict(name=HOSTILE, weight=1.0)],
        basins=dict(
            threshold=0.1, metric=HOSTILE, linkage='x', members={'1': [HOSTILE]}
        ),
        copies=[dict(name=HOSTILE, of=HOSTILE)],
        failed=[dict(trial=HOSTILE, reason=HOSTILE)],
    )
    write_report(report, tmp_path)
    text = (tmp_path / 'report.md').read_text()
    assert text.count(markdown(HOSTILE)) == 14
    for raw in ('<img src=x>', '\x1b', '|[a]', '\n# g'):
        assert raw not in text.replace(markdown(HOSTILE), '')


def test_these_write_files_for_people():
    """Whoever writes another one escapes what it says, by ``display/escaping.py``."""
    writes = {'atomic_write', 'csv.writer', 'csv.DictWriter', 'write_text', 'savefig'}
    found = set()
    for file in (ROOT / 'ff_mm').rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            mode = [ast.unparse(each) for each in node.args[1:]]
            if not writes & {name, name.rpartition('.')[2]}:
                continue
            if name != 'atomic_write' or mode == ["'w'"]:
                found.add(str(file.relative_to(ROOT / 'ff_mm')))
    assert found == {
        'analysis/soup_tree/tree_text.py',  # text, by words
        'api/table.py',  # read again: cases as they are
        'commands/predict.py',  # csv
        'comparison/fuse/writing.py',  # Markdown
        'comparison/report/writing.py',  # Markdown, csv, LaTeX, HTML by Jinja
        'comparison/study/writing.py',  # Markdown
        'datasets/checks/on_disk.py',  # read again: names as they are
        'datasets/splits/split_file.py',  # likewise
        'display/csv_file.py',
        'display/figures.py',
        'engine/quiet_runner.py',  # a config, as it was given
        'exporting/hub_folder.py',  # Markdown by Jinja
        'exporting/safetensors_folder.py',  # a config, by repr
        'files.py',  # JSON
        'fusion/report.py',  # Markdown
        'fusion/soup_file.py',  # a config, by repr
        'tracking/mlflow_tracker.py',  # csv
    }
