"""A summary of what several processes write is never left old."""

from ff_mm.parallel.dispatch import write_until_current


def test_what_changes_while_it_is_written_is_written_too():
    states = iter(['a', 'b', 'b'])
    written = []
    assert write_until_current(lambda: next(states), written.append) == 'b'
    assert written == ['a', 'b']


def test_what_does_not_change_is_written_once():
    written = []
    assert write_until_current(lambda: 'a', written.append) == 'a'
    assert written == ['a']
