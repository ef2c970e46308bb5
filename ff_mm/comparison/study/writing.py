"""All files of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ff_mm.comparison.report.markdown import markdown_table, print_table
from ff_mm.comparison.study.forest import forest_plot
from ff_mm.comparison.study.setting import SELECTED
from ff_mm.comparison.study.tables import all_tables, sentences
from ff_mm.display.console import make_console, say
from ff_mm.display.csv_file import csv_text
from ff_mm.display.escaping import markdown as escape
from ff_mm.display.figures import save_figure
from ff_mm.files import atomic_write, write_json

COLUMNS = (
    'method',
    'title',
    'domain',
    'metric',
    'setting',
    'value',
    'low',
    'high',
    'fixed_low',
    'fixed_high',
    'settings',
    'worse',
)


def write_study(study: Mapping[str, Any], work_dir: str | Path) -> list[Path]:
    """Writes a study for programs, for people and for papers.

    Args:
        study: What is to be ``study.json``; see docs/architecture.md.
        work_dir: The folder to write to.

    Returns:
        The files: ``study.json``, ``.csv`` and ``.md``, and a forest plot of each
        metric as svg and png: ``study_forest`` of that of selection,
        ``study_forest_<metric>`` of the others.
    """
    folder = Path(work_dir)
    files = [folder / 'study.json']
    write_json(dict(study), files[0])
    texts = dict(md=_markdown(study), csv=csv_text(COLUMNS, _rows(study)))
    for suffix, text in texts.items():
        files.append(folder / f'study.{suffix}')
        with atomic_write(files[-1], 'w') as file:
            file.write(text)
    for metric in study['metrics']:
        if (figure := forest_plot(study, metric)) is not None:
            stem = 'study_forest' + ('' if metric == SELECTED else f'_{metric}')
            files += save_figure(figure, folder / stem)
    return files


def study_table(study: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the main table, and what the study comes to.

    Args:
        study: As in ``study.json``.
        console: Where to print; standard output by default.
    """
    console = console or make_console()
    for table in all_tables(study)[:1]:
        print_table(table, table.caption, console)
    for sentence in sentences(study):
        say(sentence, console)


def _markdown(study: Mapping[str, Any]) -> str:
    lines = ['# Study', '', *(f'- {escape(text)}' for text in sentences(study))]
    for table in all_tables(study):
        lines += ['', f'## {escape(table.caption)}', '', markdown_table(table)]
        lines += [line for note in table.notes for line in ('', escape(note))]
    return '\n'.join(lines) + '\n'


def _rows(study: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every difference, over settings (``mean``) and of each."""
    for name, method in study['methods'].items():
        for domain, results in method['results'].items():
            for metric, result in results.items():
                row = dict(method=name, title=method['title'])
                row |= dict(domain=domain, metric=metric)
                yield dict(
                    row,
                    setting='mean',
                    **{key: result[key] for key in ('value', 'low', 'high', 'worse')},
                    fixed_low=result['fixed']['low'],
                    fixed_high=result['fixed']['high'],
                    settings=len(result['settings']),
                )
                for setting, own in result['settings'].items():
                    yield dict(row, setting=setting, **own)
