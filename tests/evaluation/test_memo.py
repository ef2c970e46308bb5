from __future__ import annotations

import math
import os

import pytest

from ff_mm.evaluation import memo as memo_module
from ff_mm.evaluation.memo import EvaluationMemo
from ff_mm.files import NotRegularError
from ff_mm.merging import NoBetterThan


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'work' / 'evaluations.jsonl'


def opened(path, known=None):
    memo = EvaluationMemo(known)
    memo.open(path)
    return memo


def test_what_was_found_is_known_after_a_restart(path):
    memo = opened(path)
    metrics = {'accuracy': 0.1 + 0.2, 'loss': float('nan'), 'matrix': [[1, 0], [2, 3]]}
    memo.add_metrics('a', metrics)
    memo.add_bound('b', 'accuracy', 'greater', NoBetterThan(0.25))
    again = opened(path)
    found = again.metrics('a')
    assert math.isnan(found.pop('loss'))
    metrics.pop('loss')
    assert found == metrics
    assert again.bound('b', 'accuracy', 'greater') == NoBetterThan(0.25)


def test_a_bound_is_of_one_metric_and_rule_and_no_score(path):
    memo = opened(path)
    memo.add_bound('a', 'accuracy', 'greater', NoBetterThan(0.25))
    assert memo.bound('a', 'macro_recall', 'greater') is None
    assert memo.bound('a', 'accuracy', 'less') is None
    assert memo.metrics('a') is None


@pytest.mark.parametrize('cut', range(1, 40, 3))
def test_a_line_that_was_cut_short_does_not_count_nor_spoil_the_next(path, cut):
    opened(path).add_metrics('a', {'accuracy': 0.5})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    memo = opened(path)
    assert memo.metrics('a') is None
    memo.add_metrics('b', {'accuracy': 0.25})
    again = opened(path)
    assert again.metrics('b') == {'accuracy': 0.25}
    assert again.metrics('a') is None


@pytest.mark.parametrize(
    'line',
    [
        '[1, 2]',
        '{"key": "a"}',
        '{"key": "a", "value": "b"}',
        '{"key": 1, "value": 1.0}',
        'null',
        'x' * 100,
    ],
)
def test_other_content_is_passed_over(path, line):
    path.parent.mkdir()
    path.write_text(line)
    assert opened(path).metrics('a') is None


def test_several_memos_of_one_process_know_the_same(tmp_path):
    known = {}
    first = opened(tmp_path / 'a.jsonl', known)
    second = opened(tmp_path / 'b.jsonl', known)
    first.add_metrics('x', {'accuracy': 1.0})
    assert second.metrics('x') == {'accuracy': 1.0}
    assert not (tmp_path / 'b.jsonl').exists()


def test_what_is_on_disk_elsewhere_is_shared_but_not_written(path):
    memo = opened(path)
    memo.share('x', {'accuracy': 1.0})
    assert memo.metrics('x') == {'accuracy': 1.0}
    assert not path.exists()


def test_what_a_file_says_is_looked_at_once_and_what_was_measured_never(tmp_path):
    known, unchecked, asked = {}, set(), []
    path = tmp_path / 'evaluations.jsonl'
    for key in 'ab':
        opened(path).add_metrics(key, {'accuracy': 0.5, 'from': 1.0})

    def fit(metrics):
        asked.append(metrics)
        return len(asked) > 1

    memo = EvaluationMemo(known, unchecked=unchecked)
    memo.open(path)
    another = EvaluationMemo(known, unchecked=unchecked)
    assert another.metrics('a', fit) is None and memo.metrics('a', fit) is None
    assert memo.metrics('b', fit) == another.metrics('b', fit) == asked[1]
    memo.add_metrics('a', {'accuracy': 1.0})
    assert another.metrics('a', fit) == {'accuracy': 1.0}
    assert len(asked) == 2


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: path.symlink_to('victim')])
def test_what_is_no_file_is_refused_before_any_pass(path, make):
    path.parent.mkdir()
    make(path)
    with pytest.raises(NotRegularError, match=r'evaluations\.jsonl: is a'):
        opened(path)
    assert not (path.parent / 'victim').exists()


def of(path, **images):
    memo = EvaluationMemo(images=images)
    memo.open(path)
    return memo


def test_findings_of_other_images_do_not_count_and_that_is_said_once(path):
    memo = of(path, val='v1', test='t1')
    memo.add_metrics('a', {'accuracy': 0.5}, ['val'])
    memo.add_metrics('b', {'accuracy': 0.25}, ['test'])
    memo.add_bound('c', 'accuracy', 'greater', NoBetterThan(0.25), ['val'])
    assert of(path, val='v1').metrics('a') and not of(path, val='v1').notes
    other = of(path, val='v2', test='t1')
    assert other.metrics('a') is None and other.metrics('b') == {'accuracy': 0.25}
    assert other.bound('c', 'accuracy', 'greater') is None
    assert '2 evaluations are of other images' in other.notes[0]
    other.add_metrics('a', {'accuracy': 1.0}, ['val'])
    again = of(path, val='v2', test='t1')
    assert again.metrics('a') == {'accuracy': 1.0} and not again.notes
    back = of(path, val='v1', test='t1')
    assert back.metrics('a') == {'accuracy': 0.5} and len(back.notes) == 1


def test_images_of_which_batch_norm_came_are_among_those_of_a_finding(path):
    of(path, val='v', train='t').add_metrics('a', {'accuracy': 0.5}, ['val', 'train'])
    assert of(path, val='v', train='t').metrics('a')
    assert of(path, val='v', train='t2').metrics('a') is None


def test_findings_of_earlier_versions_are_taken_for_those_of_these_images(path):
    path.parent.mkdir()
    path.write_text('\n{"key": "a", "value": {"accuracy": 0.5}}\nno line')
    first = of(path, val='v1')
    assert first.metrics('a') == {'accuracy': 0.5}
    assert '1 evaluations are of a version' in first.notes[0]
    again = of(path, val='v1')
    assert again.metrics('a') and not again.notes
    other = of(path, val='v2')
    assert other.metrics('a') is None and 'other images' in other.notes[0]
    assert of(path, val='v1').metrics('a')


def test_the_disk_is_waited_for_once_a_second_and_no_line_is_held_back(
    path, monkeypatch
):
    """Thousands of passes may take less time than a disk takes for each."""
    now, synced = [100.0], []
    monkeypatch.setattr(memo_module.time, 'monotonic', lambda: now[0])
    monkeypatch.setattr(os, 'fsync', lambda _: synced.append(now[0]))
    memo = opened(path)
    for number, moment in enumerate((100.0, 100.5, 100.9, 101.0, 101.2, 109.0)):
        now[0] = moment
        memo.add_metrics(str(number), {'accuracy': 0.5})
        assert opened(path).metrics(str(number)) == {'accuracy': 0.5}
    assert synced == [100.0, 101.0, 109.0]
