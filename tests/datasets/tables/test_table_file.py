from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.tables import table_file
from ff_mm.datasets.tables.table_file import Row, find_column, read_rows, read_table

TEXT = 'file,grade,note\na.jpg,1,"x, y"\nb.jpg,0,\n'


def read(path: Path, columns: tuple = ('file', 'grade'), **kwargs: str) -> list[Row]:
    problems = Problems('table')
    rows = read_rows(str(path), columns, problems, **kwargs)
    problems.raise_if_any()
    return rows


def cells(rows: list[Row]) -> list[tuple]:
    return [tuple(row.cells.values()) for row in rows]


def problem_of(path: Path, content: bytes | str, **kwargs: object) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DatasetError) as caught:
        read(path, **kwargs)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(
    'content',
    [
        TEXT.encode(),
        TEXT.replace('"x, y"', 'xy').replace(',', ';').encode(),
        TEXT.replace(',', '\t').encode(),
        TEXT.replace('"x, y"', 'xy').replace(',', '|').encode(),
        b'sep=;\r\n' + TEXT.replace('"x, y"', 'xy').replace(',', ';').encode(),
        b'\xef\xbb\xbfsep=,\n' + TEXT.encode(),
        TEXT.replace('\n', '\r\n').encode(),
        TEXT.replace('\n', '\r').encode(),
        TEXT.encode('utf-8-sig'),
        TEXT.encode('utf-16'),
        gzip.compress(TEXT.encode()),
        b' file , grade ,note\n a.jpg , 1 ,\n b.jpg , 0 ,\n',
    ],
    ids=[
        'comma',
        'semicolon',
        'tab',
        'bars',
        'sep',
        'sep-bom',
        'crlf',
        'cr',
        'bom',
        'utf16',
        'gzip',
        'space',
    ],
)
def test_all_forms_of_text_say_the_same(tmp_path, content):
    path = tmp_path / 'cases'
    path.write_bytes(content)
    assert cells(read(path)) == [('a.jpg', '1'), ('b.jpg', '0')]


def test_cells_with_separators_and_line_breaks_in_quotes(tmp_path):
    path = tmp_path / 'cases.csv'
    path.write_text('file;note\n"a;b.jpg";"two\nlines, ""quoted"""\nc.jpg;5" wide\n')
    assert cells(read(path, ('file', 'note'))) == [
        ('a;b.jpg', 'two\nlines, "quoted"'),
        ('c.jpg', '5" wide'),
    ]


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path):
    path = tmp_path / 'cases.csv'
    path.write_text('file,grade\na.jpg,1\n\nb.jpg,0\n,\n"c\nd.jpg",1\ne.jpg\n')
    rows = read(path)
    assert [row.place for row in rows] == ['row 2', 'row 4', 'row 6', 'row 7']
    assert cells(rows)[-1] == ('e.jpg', '')


def test_other_encodings_by_name(tmp_path):
    path = tmp_path / 'cases.csv'
    path.write_bytes('file,grade\na.jpg,gutartig\nb.jpg,bösartig\n'.encode('cp1252'))
    text = problem_of(path, path.read_bytes(), encoding='utf-8')
    assert text.endswith(
        "cases.csv' is not UTF-8: byte 0xf6 in line 3. Save it as 'CSV UTF-8'. A table "
        'of your own that was saved by Excel on a Windows of Western Europe or America '
        "is read with table.encoding='cp1252', too."
    )
    assert cells(read(path, encoding='cp1252'))[1] == ('b.jpg', 'bösartig')
    # Official tables have no table.encoding.
    text = problem_of(path, path.read_bytes())
    assert text.endswith(
        "Save it as 'CSV UTF-8', or take the file as it was downloaded."
    )


def test_columns_that_are_not_there(tmp_path):
    text = problem_of(tmp_path / 'x.csv', 'File,patient_id,dx\n', columns=['file', 'z'])
    assert "2 ('file' (did you mean 'File'?), 'z')" in text
    assert "It has ['File', 'patient_id', 'dx']" in text
    assert 'is empty' in problem_of(tmp_path / 'x.csv', '')


def test_columns_with_one_name(tmp_path):
    path = tmp_path / 'x.csv'
    assert 'same name: 1 (grade)' in problem_of(path, 'file,grade,grade\na,1,2\n')
    path.write_text('file,grade,,\na,1,2,3\n')
    assert cells(read(path)) == [('a', '1')]


def test_columns_that_need_not_be_there(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_text('file,grade,note\na,1,x\n')

    def names(optional: list[str] | None) -> list[str]:
        (row,) = read_table(str(path), ['file'], Problems('x'), optional)
        return list(row)

    assert names(['note', 'view']) == ['file', 'note']
    assert names(None) == ['file', 'grade', 'note']


def test_a_column_with_several_possible_names():
    problems = Problems('x')
    rows = [{'level': '1', 'image': 'a'}]
    assert find_column(('id', 'image'), rows, 't.csv', problems) == 'image'
    assert find_column(('id',), [], 't.csv', problems) is None and not problems
    assert find_column(('id', 'name'), rows, 't.csv', problems) is None
    text = "needs one of the columns ['id', 'name'], it has ['level', 'image']"
    with pytest.raises(DatasetError, match=text.replace('[', r'\[')):
        problems.raise_if_any()


def test_a_table_without_rows(tmp_path):
    assert 'has no row' in problem_of(tmp_path / 'x.csv', 'file,grade\n,\n')


def test_too_many_cells(tmp_path):
    path = tmp_path / 'x.csv'
    text = problem_of(path, 'file,grade\na,1\nb,0,5\nc,0,,\n')
    assert 'more cells than there are columns: 1 (row 3)' in text


@pytest.mark.parametrize(
    'content', ['file,grade\n"a,1\nb,0\n', 'file,grade\n"a"x,1\n'], ids=['open', 'in']
)
def test_quotes_that_swallow_the_rest(tmp_path, content):
    text = problem_of(tmp_path / 'x.csv', content)
    assert ', line ' in text and 'A quote (") may only stand around' in text


def test_what_is_no_table(tmp_path):
    path = tmp_path / 'x.csv'
    assert 'is an Excel workbook. Save it' in problem_of(path, b'PK\x03\x04 rest')
    packed = gzip.compress(TEXT.encode())
    assert 'cannot be read' in problem_of(path, packed[:-9])
    assert 'cannot be read' in problem_of(path, packed[:12] + b'!!!!!' + packed[17:])
    pytest.importorskip('pyarrow')
    assert 'cannot be read' in problem_of(path, b'PAR1 cut off')


def test_no_such_file(tmp_path):
    (tmp_path / 'cases.csv').write_text(TEXT)
    for name, expected in {
        'case.csv': f'Did you mean {str(tmp_path / "cases.csv")!r}?',
        'zzz': "there are the files ['cases.csv'].",
        'none/x.csv': 'no folder',
    }.items():
        with pytest.raises(DatasetError, match='does not exist') as caught:
            read(tmp_path / name)
        assert expected in str(caught.value)


class TestParquet:
    def write(self, path: Path, columns: dict) -> None:
        pyarrow = pytest.importorskip('pyarrow')
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(columns), path)

    def test_values_become_text(self, tmp_path):
        path = tmp_path / 'cases'
        columns = dict(
            pixels=[b'\xff', b'', b''],
            file=['a', ' b ', None],
            whole=[1.0, float('nan'), 2.5],
            flag=[True, None, False],
            number=[3, 4, None],
        )
        self.write(path, columns)
        assert cells(read(path, ('file', 'whole', 'flag', 'number'))) == [
            ('a', '1.0', 'True', '3'),
            ('b', '', '', '4'),
            ('', '2.5', 'False', ''),
        ]

    @pytest.mark.parametrize(
        'limit, expected',
        [
            (dict(_MOST_ROWS=1999), '2,000 rows with 2 columns that are read'),
            (dict(_MOST_CELLS=3999), 'no more than .* 3,999 cells'),
            (dict(LARGEST=5999), 'more than 0 GiB of text'),
            ({}, None),
        ],
        ids=['rows', 'cells', 'text', 'none'],
    )
    def test_few_bytes_that_mean_too_much(self, tmp_path, monkeypatch, limit, expected):
        self.write(tmp_path / 'x', dict(file=['ab'] * 2000, grade=[1] * 2000))
        for name, value in limit.items():
            monkeypatch.setattr(table_file, name, value)
        if expected is None:
            assert len(read(tmp_path / 'x')) == 2000
            return
        with pytest.raises(DatasetError, match=expected):
            read(tmp_path / 'x')

    def test_columns_that_are_not_there(self, tmp_path):
        self.write(tmp_path / 'x', dict(file=['a'], dx=['b']))
        with pytest.raises(DatasetError, match=r"It has \['file', 'dx'\]"):
            read(tmp_path / 'x')

    def test_remedy_without_pyarrow(self, tmp_path, monkeypatch):
        (tmp_path / 'x').write_bytes(b'PAR1')
        monkeypatch.setitem(__import__('sys').modules, 'pyarrow', None)
        with pytest.raises(DatasetError, match='pip install pyarrow'):
            read(tmp_path / 'x')
