from __future__ import annotations

import csv

from ff_mm.display.csv_file import write_csv


def test_columns_are_those_of_all_rows_and_what_is_lacking_is_empty(tmp_path):
    file = tmp_path / 'new' / 'rows.csv'
    write_csv(file, [dict(a=1, b='x, y'), dict(c=0.1 + 0.2, a=None)])
    text = file.read_text()
    assert text.splitlines()[0] == 'a,b,c'
    with open(file, newline='') as opened:
        first, second = csv.DictReader(opened)
    assert first == dict(a='1', b='x, y', c='')
    assert second['a'] == '' and float(second['c']) == 0.1 + 0.2


def test_no_rows(tmp_path):
    write_csv(tmp_path / 'rows.csv', [])
    assert (tmp_path / 'rows.csv').read_text().strip() == ''
