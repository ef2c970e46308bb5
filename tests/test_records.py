from __future__ import annotations

import json

import pytest

from ff_mm.records import (
    COUNT,
    FILE_NAME,
    METRICS,
    NUMBER,
    PLAIN,
    SHA256,
    TEXT,
    Optional,
    RecordError,
    Rows,
    Table,
    read_record,
)

TABLE = Table(
    2,
    name=TEXT,
    parts=Rows(Table(name=TEXT, weight=NUMBER)),
    count=Optional(COUNT),
    more=Optional(Table(metrics=METRICS)),
)
GOOD = dict(format=2, name='a', parts=[dict(name='b', weight=0.5)])
HUGE = 10**400


def read(tmp_path, **changes):
    path = tmp_path / 'x.json'
    path.write_text(json.dumps(GOOD | changes))
    return read_record(path, TABLE, 'a record')


@pytest.mark.parametrize(
    'more', [{}, dict(another=['kept', 1, None]), dict(count=None), dict(count=3)]
)
def test_what_fits_is_read_as_it_is(tmp_path, more):
    assert read(tmp_path, **more) == GOOD | more


def test_the_order_of_the_file_is_kept():
    """So that what is written again is the same text."""
    backwards = dict(reversed(GOOD.items()))
    assert list(TABLE.read(backwards)) == list(backwards)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(format=3), 'format 3, expected 2; it is of another version of ff_mm'),
        (dict(name=3), 'name: expected a text that can be printed, got 3'),
        (dict(name='\x1b[2J'), "name: expected a text that can be printed, got '\\x1b"),
        (dict(parts={}), 'parts: expected a list, got {}'),
        (dict(parts=[3]), 'parts: 1: expected names and values, got 3'),
        (dict(parts=[dict(name='b')]), "parts: 'b': 'weight' is missing"),
        (dict(parts=[dict(weight=1)]), "parts: 1: 'name' is missing"),
        (
            dict(parts=[dict(name='b', weight=HUGE)]),
            "parts: 'b': weight: expected a number, got 1000",
        ),
        (dict(count=-1), 'count: expected a whole number from 0, got -1'),
        (dict(more={}), "more: 'metrics' is missing"),
        (
            dict(more=dict(metrics={'a': '1'})),
            'more: metrics: expected numbers by name',
        ),
        (dict(another='\ud800'), 'another: expected a value of JSON'),
        ({'\ud800': 1}, 'expected a value of JSON'),
        (dict(another=dict(deep=[HUGE])), 'another: expected a value of JSON'),
    ],
)
def test_what_does_not_fit_is_one_line_with_file_key_and_value(tmp_path, changes, said):
    with pytest.raises(RecordError) as caught:
        read(tmp_path, **changes)
    message = str(caught.value)
    assert message.startswith(f'{tmp_path / "x.json"}: is not a record: ')
    assert said in message
    assert message.isprintable()
    message.encode()


@pytest.mark.parametrize('text', ['', '{"name": "a', '[' * 900, '{"name": NaN}', '[]'])
def test_a_file_that_says_nothing_is_one_line_too(tmp_path, text):
    path = tmp_path / 'x.json'
    path.write_text(text)
    with pytest.raises(RecordError) as caught:
        read_record(path, TABLE, 'a record')
    assert '\n' not in str(caught.value)
    assert str(caught.value).count(str(path)) == 1


def test_values_nested_too_deep_to_look_at_are_refused(tmp_path):
    path = tmp_path / 'x.json'
    path.write_text('{"name": ' + '[' * 900 + ']' * 900 + '}')
    with pytest.raises(RecordError, match='is not a record'):
        read_record(path, Table(), 'a record')


def test_an_absent_file_is_another_matter(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / 'x.json', TABLE, 'a record')


@pytest.mark.parametrize(
    ('check', 'good', 'bad'),
    [
        (NUMBER, [0, -1.5, 1e308], [True, '1', None, float('nan'), float('inf'), HUGE]),
        (COUNT, [0, 7], [-1, 1.0, True, HUGE]),
        (SHA256, ['0' * 64], ['0' * 63, '0' * 64 + '\n', 'A' * 64, 0]),
        (FILE_NAME, ['a.pth', '...'], ['', '.', '..', 'a/b', '/a', 'a\0', 3]),
        (METRICS, [{}, {'a': [1, [None]]}], [[], {'a': '1'}, {'a': HUGE}, {'': 1}]),
        (PLAIN, ['\U0001f600', [None, True], {'a': {'b': 1}}], ['\udc00', {1: 2}, {3}]),
    ],
)
def test_each_kind_of_value(check, good, bad):
    assert [check.fits(value) for value in good] == [True] * len(good)
    assert [check.fits(value) for value in bad] == [False] * len(bad)
