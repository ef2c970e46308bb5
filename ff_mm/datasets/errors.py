"""What is wrong with a data set, all of it in one message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from ff_mm.errors import FFMMError
from ff_mm.plain import first_few


class DatasetError(FFMMError):
    """A data set cannot be used as it lies on disk.

    Args:
        subject: What was read, e.g. ``"HAM10000 in 'data/ham10000'"``.
        problems: One entry for each problem, with what to do about it.

    Attributes:
        subject: As given.
        problems: As given, as a tuple.
    """

    def __init__(self, subject: str, problems: Sequence[str] = ()) -> None:
        # Both go to the base class, so that the error survives pickling.
        super().__init__(subject, tuple(problems))
        self.subject = subject
        self.problems = tuple(problems)

    @property
    def lines(self) -> Sequence[str]:
        """A line for the subject, and one for each problem."""
        if not self.problems:
            return [self.subject]
        head = f'{self.subject}: {len(self.problems)} problem(s) found'
        problems = (f'  {i}. {problem}' for i, problem in enumerate(self.problems, 1))
        return [head, *problems]


class Problems:
    """Collects problems while reading goes on, then raises them together.

    Args:
        subject: What is being read; opens the message.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._problems: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._problems)

    def __iter__(self) -> Iterator[str]:
        return iter(self._problems)

    def add(self, problem: str) -> None:
        """Notes one problem, in a sentence or two."""
        self._problems.append(problem)

    def found(self, what: str, names: Iterable[object], remedy: str) -> None:
        """Notes that something is wrong with some names, if there are any.

        Args:
            what: What is wrong, as a plural, e.g. ``'images without a file'``.
            names: With what it is wrong. All are counted, the first few are shown.
            remedy: What to do about it, as a sentence.
        """
        names = list(names)
        if names:
            self.add(f'{what}: {len(names)} ({first_few(names, 5)}). {remedy}')

    def raise_if_any(self) -> None:
        """Ends the collecting.

        Raises:
            DatasetError: If any problem was noted, with all of them.
        """
        if self._problems:
            raise DatasetError(self.subject, self._problems)


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuses an argument of a data set that is none of some values.

    Raises:
        ValueError: It is another.
    """
    if value not in choices:
        raise ValueError(f'{name} must be one of {[*choices]}, got {value!r}')


def as_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Gives names as a tuple; ``--cfg-options`` turns a single one into a string."""
    return (given,) if isinstance(given, str) else tuple(given)


def repeated(names: Iterable[str]) -> list[str]:
    """Returns the names that occur more than once, to be noted as a problem."""
    return [name for name, count in Counter(names).items() if count > 1]
