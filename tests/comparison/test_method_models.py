from __future__ import annotations

import json

import pytest

from ff_mm.comparison.method_models import _made_before
from ff_mm.files import sha256

POOL = {'a', 'b', 'c'}

REPORT = dict(
    method='greedy',
    ingredients=[dict(name='a', weight=0.5), dict(name='b', weight=None)],
    seconds=1.5,
    evaluations=dict(selection=2, remembered=0, basins=0, images=dict(val=40)),
    levels=['kept as it is'],
)


def made(folder, report=REPORT, **changes):
    (folder / 'soup.pth').write_bytes(b'soup')
    content = dict(key='k', sha256=sha256(folder / 'soup.pth'), report=report)
    (folder / 'made.json').write_text(json.dumps(content | changes))


def without(key):
    return {name: value for name, value in REPORT.items() if name != key}


def test_a_soup_that_was_made_in_just_this_way_is_taken(tmp_path):
    assert _made_before(tmp_path / 'soup.pth', 'k', POOL) is None
    made(tmp_path)
    assert _made_before(tmp_path / 'soup.pth', 'k', POOL)['report'] == REPORT
    assert _made_before(tmp_path / 'soup.pth', 'other', POOL) is None
    (tmp_path / 'soup.pth').write_bytes(b'another')
    assert _made_before(tmp_path / 'soup.pth', 'k', POOL) is None


@pytest.mark.parametrize(
    'report',
    [
        {},
        'x',
        None,
        *map(without, ('method', 'ingredients', 'seconds', 'evaluations')),
        dict(REPORT, evaluations=None),
        dict(REPORT, evaluations=dict(selection=2, remembered=0, images={})),
        dict(REPORT, ingredients=[dict(weight=0.5)]),
        dict(REPORT, seconds=10**400),
        dict(REPORT, ensemble=dict(average='logits', members=[dict(name='a')])),
        dict(REPORT, ensemble=dict(average='votes', members=[])),
        dict(REPORT, ingredients=[]),
        dict(REPORT, ingredients=[dict(name='nosuch', weight=1.0)]),
        dict(REPORT, ingredients=[dict(name='a', weight=0.5)] * 2),
    ],
    ids=str,
)
def test_a_record_that_lacks_what_is_asked_of_it_does_not_count(tmp_path, report):
    """The soup is then made again."""
    made(tmp_path, report)
    assert _made_before(tmp_path / 'soup.pth', 'k', POOL) is None
