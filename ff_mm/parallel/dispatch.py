"""Who carries out which task of a plan, in what order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ff_mm.errors import FFMMError
from ff_mm.parallel.holder import Holder
from ff_mm.parallel.team import Team
from ff_mm.parallel.waiting import Waiting

# Seconds after which to look whether a task has ended of which the team's store says
# nothing: it belongs to a process of another command, or its owner has died. And after
# a long wait.
_LOOK_AGAIN = 2.0
_LOOK_AGAIN_AT_MOST = 30.0
# Seconds after which a process that has nothing else to do takes what nobody began: the
# next of a chain falls to who carries out the chain.
_COURTESY = 2.0
# Seconds, where the news that a task has ended come before its record is to be seen.
_RECORD_LAG = 0.02


class TakenOverError(FFMMError):
    """A task that another process carries out, since this one seemed dead.

    Nothing is wrong with it: the other's result is the one that counts.
    """


@dataclass(frozen=True)
class Task:
    """Something to be done once.

    Attributes:
        id: Its name.
        parents: The tasks that must have been done before.
    """

    id: str
    parents: tuple[str, ...] = ()


class Book(Protocol):
    """What is known of tasks by all processes, such as a ledger."""

    def is_settled(self, task: str) -> bool:
        """Whether a task has ended, one way or the other."""

    def has_failed(self, task: str) -> bool:
        """Whether it has ended without a result."""

    def refresh(self, task: str) -> None:
        """Takes notice of what other processes have noted of a task."""

    def free(self, tasks: Collection[str]) -> list[str]:
        """Takes notice of what others have noted of tasks, at the least expense.

        Returns:
            Those that have not ended and that nobody is at work on.
        """

    def take(self, task: str) -> bool:
        """Makes a task this process's own, unless it is another's or settled."""

    def release(self, task: str) -> None:
        """Lets others take it."""

    def holder(self, task: str) -> Holder | None:
        """The living process that is at work on it."""

    def fail(self, task: str, kind: str, reason: str) -> None:
        """Notes that a task, taken by this process, has failed.

        Raises:
            TakenOverError: Another has taken it since.
        """


def chains(tasks: Sequence[Task]) -> list[list[Task]]:
    """Cuts tasks into chains, each of which one process carries out.

    A task whose one parent has no other child follows it in the parent's chain; a child
    among several, or of several, begins a chain of its own.

    Args:
        tasks: Parents before children.

    Returns:
        The chains, ordered by their first tasks.
    """
    children = Counter(parent for task in tasks for parent in task.parents)
    found: dict[str, list[Task]] = {}  # by the last task of each chain
    ordered = []
    for task in tasks:
        chain = None
        if len(task.parents) == 1 and children[task.parents[0]] == 1:
            chain = found.pop(task.parents[0], None)
        if chain is None:
            chain = []
            ordered.append(chain)
        chain.append(task)
        found[task.id] = chain
    return ordered


class Dispatch:
    """Carries out tasks together with the other processes of a team.

    Each process takes the next chain by the number that the team's store gives it.
    Chains are numbered parents first, so whatever a process has to wait for is already
    another's; that it is done the store says, at once. Claims keep off processes of
    other commands, and tell of owners that have died: their tasks are taken over, also
    by processes that have run out of chains.

    Args:
        tasks: All tasks that this command is to carry out, parents before children. A
            parent that is not among them must be settled before its children.
        book: What is known of them.
        team: The processes of this command.
        run: Carries out one task that this process has taken, and notes in the book how
            it ended. If it raises :class:`TakenOverError`, the task is waited for.
        notify: Takes lines for the user.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        book: Book,
        team: Team,
        run: Callable[[str], None],
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._chains = chains(tasks)
        self._book = book
        self._team = team
        self._run = run
        self._notify = notify
        self._waited_for: set[str] = set()
        self._ready_since: dict[str, float] = {}

    def carry_out(self) -> None:
        """Works until every task has ended, here or elsewhere."""
        while (number := self._team.next_number('chain')) < len(self._chains):
            self._follow(self._chains[number])
        waiting = _waiting()
        while True:
            free = self._book.free(self._tasks)
            left = [t for t in self._tasks.values() if not self._is_settled(t)]
            if not left:
                return
            ready = [task for task in left if task.id in free and self._is_ready(task)]
            if ready:
                waiting = _waiting()
            # One at a time: others may have begun the next meanwhile.
            if not any(self._attempt(t) for t in ready if self._is_left_over(t)):
                self._wait_for(left[0], waiting)

    def _is_settled(self, task: Task) -> bool:
        return self._book.is_settled(task.id)

    def _is_ready(self, task: Task) -> bool:
        return all(map(self._book.is_settled, task.parents))

    def _is_left_over(self, task: Task) -> bool:
        """Whether a task could have been begun for a while, by whom it falls to."""
        now = time.monotonic()
        return now - self._ready_since.setdefault(task.id, now) >= _COURTESY

    def _follow(self, chain: Sequence[Task]) -> None:
        """Carries out a chain, up to what is in the hands of another command."""
        for task in chain:
            for parent in task.parents:
                self._require(parent)
            free = self._book.free([task.id])
            if not (free and self._attempt(task)) and not self._is_settled(task):
                return

    def _require(self, task_id: str) -> None:
        """Waits until a task has ended, or carries it out if its owner has died."""
        waiting = _waiting()
        while True:
            free = self._book.free([task_id])
            if self._book.is_settled(task_id):
                return
            task = self._tasks[task_id]
            for parent in task.parents:
                self._require(parent)
            if not free or not self._attempt(task):
                self._wait_for(task, waiting)

    def _attempt(self, task: Task) -> bool:
        """Carries a task out if that is this process's to do; tells whether it was."""
        # On a network file system the news may be faster than the record.
        if self._team.is_told(_settled(task.id)) or not self._book.take(task.id):
            return False
        self._team.tell(_taken(task.id))
        try:
            failed = [p for p in task.parents if self._book.has_failed(p)]
            if failed:
                reason = f'{failed[0]!r}, from which it starts, has failed'
                self._book.fail(task.id, 'parent failed', reason)
            else:
                self._run(task.id)
        except TakenOverError as error:
            self._notify(str(error))
            return False
        finally:
            self._book.release(task.id)
        self._team.tell(_settled(task.id))
        return True

    def _wait_for(self, task: Task, waiting: Waiting) -> None:
        """Waits for a moment, or until the team has carried the task out."""
        if self._team.is_told(_settled(task.id), waiting.pause()):
            time.sleep(_RECORD_LAG)
            self._book.refresh(task.id)
            return
        if task.id in self._waited_for or self._team.is_told(_taken(task.id)):
            return
        if (holder := self._book.holder(task.id)) is not None:
            self._waited_for.add(task.id)
            self._notify(f'waiting for {task.id}: {holder} is at work on it')


def _waiting() -> Waiting:
    return Waiting(_LOOK_AGAIN, _LOOK_AGAIN_AT_MOST)


def _taken(task_id: str) -> str:
    return f'taken/{task_id}'


def _settled(task_id: str) -> str:
    return f'settled/{task_id}'


T = TypeVar('T')


def write_until_current(read: Callable[[], T], write: Callable[[T], None]) -> T:
    """Writes a summary of files that other processes write, and is not overtaken.

    Whoever writes an old state over a new one sees it afterwards and writes again. So
    once all are done, the summary is that of the last state, without any lock.

    Args:
        read: Returns the state of the files.
        write: Writes the summary, atomically.

    Returns:
        The state that was written last.
    """
    state = read()
    while True:
        write(state)
        written, state = state, read()
        if state == written:
            return state
