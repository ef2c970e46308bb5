"""What the processes of a team do at the same time; the error of one ends all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ff_mm.parallel.team import Team, TeamError
from ff_mm.parallel.termination import Terminated

T = TypeVar('T')

# Nothing is wrong where these end one process, so the others end in the same way.
_ENDS = {kind.__name__: kind for kind in (KeyboardInterrupt, Terminated)}


class AnotherFailed(TeamError):
    """The error of another process, which says itself what is wrong."""


def together(team: Team, what: str, work: Callable[[], Any]) -> list[Any]:
    """Has each process do its part, and tells all what came out.

    Args:
        team: The processes, all of which must call this.
        what: A name for it.
        work: The part of this process; returns what JSON can say.

    Returns:
        The results by rank, as they come out of JSON: the same on every process, each
        number bit for bit, also those that are not finite.

    Raises:
        AnotherFailed: If the part of another process fails.
        TeamError: If the process is gone that keeps what all have in common.
        KeyboardInterrupt: If another process was interrupted.
        Terminated: If another process was told to end.
    """
    # Counted in the store: several who use one name must not read each other's results.
    key = f'{what}/{team.next_number(f"{what}/{team.rank}")}'
    try:
        outcome = dict(value=work())
    except BaseException as error:
        # Whatever it is: the others would wait for ever.
        described = dict(kind=type(error).__name__, text=str(error))
        team.tell(f'{key}/{team.rank}', dict(error=described))
        raise
    team.tell(f'{key}/{team.rank}', outcome)
    outcomes = [team.listen(f'{key}/{rank}') for rank in range(team.size)]
    for rank, outcome in enumerate(outcomes):
        if 'error' in outcome:
            raise _of_another(rank, **outcome['error'])
    return [outcome['value'] for outcome in outcomes]


def first_alone(team: Team, what: str, work: Callable[[], Any]) -> Any:
    """Has the first process do something while the others wait.

    Args:
        team: The processes, all of which must call this.
        what: A name for it.
        work: What the first does; returns what JSON can say.

    Returns:
        The result, as :func:`together` gives it; with its errors.
    """
    return together(team, what, lambda: work() if team.is_first else None)[0]


def in_turn(
    team: Team,
    what: str,
    tasks: Sequence[T],
    work: Callable[[T], Any],
    note: Callable[[T, Any], None],
    ends: Callable[[Any], bool] = lambda outcome: False,
) -> None:
    """Has whoever is free take the next task, until there are none or one ends it.

    All tasks before one that was done are done, too.

    Args:
        team: The processes, all of which must call this with the same tasks.
        what: A name for it.
        tasks: What there is to do.
        work: Does one of them; returns what JSON can say.
        note: Takes a task and its outcome as :func:`together` gives it: those of all
            processes, on every process, each once and about as soon as it is there.
        ends: Says of an outcome whether no further task need be taken.

    Raises:
        AnotherFailed: If a task of another process fails; and as :func:`together`.
    """
    # Other names than those of together().
    what = f'{what}/in turn'
    key = f'{what}/tasks/{team.next_number(f"{what}/times/{team.rank}")}'
    waiting = dict(enumerate(tasks))

    def listen(up_to: int) -> None:
        # Nobody has taken what comes later yet, at least not long ago.
        candidates = [n for n in waiting if n <= up_to]
        for number in [n for n in candidates if team.is_told(f'{key}/{n}')]:
            note(waiting.pop(number), team.listen(f'{key}/{number}'))

    def take() -> None:
        while not team.is_told(f'{key}/over'):
            number = team.next_number(key)
            if number >= len(tasks):
                return
            outcome = work(tasks[number])
            team.tell(f'{key}/{number}', outcome)
            if ends(outcome):
                team.tell(f'{key}/over')
            listen(number)

    together(team, what, take)
    listen(len(tasks))


def _of_another(rank: int, kind: str, text: str) -> BaseException:
    if kind in _ENDS:
        return _ENDS[kind]()
    # What it says has been escaped, so its line breaks are its own.
    said = f'process {rank} has stopped: {kind}: {text}'
    return AnotherFailed(*said.split('\n'))
