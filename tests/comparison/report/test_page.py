from __future__ import annotations

import copy
from html.parser import HTMLParser

import pytest
from example import MANY, METHODS, comparison

from ff_mm.comparison.report import write_comparison_report
from ff_mm.errors import ConfigError
from ff_mm.files import read_json

EVIL = '<script>alert("x")</script>'
VOID = {'meta', 'br', 'hr', 'img', 'link'}


class Page(HTMLParser):
    """What a browser would see of a page; fails where elements do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self):
        return ' '.join(self.words)

    def tags(self, name):
        return [attrs for tag, attrs in self.elements if tag == name]


def page(tmp_path, *args, **kwargs):
    write_comparison_report(comparison(*args, **kwargs), tmp_path)
    return Page((tmp_path / 'comparison.html').read_text(encoding='utf-8'))


def test_all_files_are_there(tmp_path):
    files = write_comparison_report(comparison(), tmp_path)
    plots = [f'comparison_{p}' for p in ('robustness', 'cost')]
    assert sorted(file.name for file in files) == sorted(
        [f'comparison.{s}' for s in ('json', 'md', 'csv', 'tex', 'html')]
        + [f'{plot}.{s}' for plot in plots for s in ('pdf', 'svg', 'png')]
    )
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert read_json(tmp_path / 'comparison.json') == comparison()


def test_the_recommendation_comes_first(tmp_path):
    it = page(tmp_path)
    for said in (*comparison()['recommendation']['text'], 'fgg_gog/run0/soup.pth'):
        assert said in it.text
    ids = [attrs['id'] for attrs in it.tags('h2')]
    assert ids == [
        'recommendation',
        'main',
        'plots',
        'differences',
        'metrics',
        'cost',
        'delong',
        'ingredients',
        'how',
        'environment',
    ]


def test_the_first_lines_say_of_which_data_and_when(tmp_path):
    it = page(tmp_path, data='HAM10000', date='2026-11-30')
    assert 'by macro recall on HAM10000, 2026-11-30; models chosen on' in it.text


def test_long_tables_are_folded_and_names_explained(tmp_path):
    it = page(tmp_path)
    assert [attrs for attrs in it.tags('details')] == [{}] * 3  # none of them is open
    assert f'{len(METHODS)} rows' in it.text
    assert 'GoU Greedy of uniform: a uniform soup of each learning rate' in it.text


def test_what_was_selected_on_is_not_marked(tmp_path):
    write_comparison_report(comparison(), tmp_path)
    text = (tmp_path / 'comparison.md').read_text(encoding='utf-8')
    (row,) = [line for line in text.splitlines() if line.startswith('| FGG + GoG')][:1]
    _, _, val, test, *_ = row.split('|')
    assert '*' not in val.replace('**', '') and r'\*' in test
    differences = text.partition('## Difference')[2]
    assert '| val' not in differences and '| test' in differences.replace('  ', ' ')


def test_the_page_needs_nothing_but_itself(tmp_path):
    it = page(tmp_path, MANY, runs=2)
    assert not it.tags('script')
    assert not it.tags('link')
    assert not it.tags('img')
    for tag, attrs in it.elements:
        for key, value in attrs.items():
            if key in ('src', 'href'):
                assert value.startswith('#'), (tag, key, value)
            assert not key.startswith('on')
            assert 'url(' not in (value or '') or 'url(#' in value
    assert '@import' not in (tmp_path / 'comparison.html').read_text(encoding='utf-8')


def test_ids_are_unique_and_what_they_label_exists(tmp_path):
    it = page(tmp_path, MANY)
    ids = [attrs['id'] for _, attrs in it.elements if 'id' in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in it.elements:
        if 'aria-labelledby' in attrs:
            assert attrs['aria-labelledby'] in ids


def test_titles_are_text_and_nothing_else(tmp_path):
    methods = {k: (f'{EVIL} {k}', *v[1:]) for k, v in METHODS.items()}
    it = page(tmp_path, methods, title=EVIL, environment={EVIL: EVIL})
    assert not it.tags('script')
    assert f'{EVIL} fgg_gog' in it.text
    assert EVIL in ' '.join(it.words)


def test_a_plot_has_a_name_for_those_who_cannot_see_it(tmp_path):
    svgs = page(tmp_path).tags('svg')
    assert len(svgs) == 2
    assert all(svg['role'] == 'img' and svg['aria-label'] for svg in svgs)


def test_a_comparison_of_little(tmp_path):
    it = copy.deepcopy(
        comparison({'gs_best': METHODS['gs_best']}, sets=('val', 'test'), delong={})
    )
    it['methods']['gs_best']['cost']['generation'] = None
    it['recommendation'] |= dict(best_single=None, differences={}, results={})
    files = write_comparison_report(it, tmp_path)
    assert [file.suffix for file in files] == ['.json', '.md', '.csv', '.tex', '.html']
    shown = Page((tmp_path / 'comparison.html').read_text(encoding='utf-8'))
    ids = [attrs['id'] for attrs in shown.tags('h2')]
    assert not {'plots', 'differences', 'delong'} & set(ids)


def test_how_it_was_done_is_said(tmp_path):
    text = page(tmp_path).text
    assert '95 %' in text
    assert '2,000 resamples' in text
    assert 'mel 40, nv 200, bcc 92, df 1; too rare to be asked for: df' in text


def test_unknown_published_results_cost_the_pages_but_not_the_numbers(tmp_path):
    it = comparison(published=dict(backbone='VGG', dataset='HAM10000'))
    with pytest.raises(ConfigError, match='VGG'):
        write_comparison_report(it, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ['comparison.json']
