"""Images with the same content under several names, and what is said of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from ff_mm.datasets.checks.image_facts import ImageFacts
from ff_mm.datasets.checks.label_counts import LabelCounts
from ff_mm.datasets.errors import Problems
from ff_mm.plain import MISSING


class Entry(NamedTuple):
    """One image as one data set has it.

    Attributes:
        set_name: The data set.
        key: Tells images apart: the absolute path, or the place in the data set of an
            image that lies in memory.
        name: For people: its id, else its path.
        scores: One for each class or label, None if not known.
    """

    set_name: str
    key: str
    name: str
    scores: tuple[float, ...] | None


def find_duplicates(
    entries: Sequence[Entry], facts: Mapping[str, ImageFacts]
) -> list[list[Entry]]:
    """Gives the images that have the same content, where they are not all one image.

    Args:
        entries: The images of all data sets.
        facts: What is known of each, by key.

    Returns:
        One list for each content.
    """
    return [
        list(dict.fromkeys(equal))
        for equal in _by_content(entries, facts)
        if len({entry.key for entry in equal}) > 1
    ]


def compare_duplicates(
    duplicates: Sequence[Sequence[Entry]],
    names: Iterable[str],
    problems: Problems,
    notes: Problems,
) -> None:
    """Says between which data sets there are duplicates.

    Args:
        duplicates: See :func:`find_duplicates`.
        names: The data sets, in their order.
        problems: Takes those between train and another.
        notes: Takes those within a data set, and between two for evaluation.
    """
    names = list(names)
    for name in names:
        within = ([e.name for e in equal if e.set_name == name] for equal in duplicates)
        notes.found(
            f'contents that several images of {name} have',
            [' = '.join(equal) for equal in within if len(equal) > 1],
            'Such images count several times.',
        )
    for first, second in combinations(names, 2):
        found = matches(duplicates, first, second)
        what = f'images of {second} with the content of another one of {first}'
        if first == 'train':
            remedy = 'Training sees them: leave them out of one of the two.'
            problems.found(what, found, remedy)
        else:
            notes.found(what, found, 'They count in both.')


def find_conflicts(
    entries: Sequence[Entry],
    facts: Mapping[str, ImageFacts],
    labels: Mapping[str, LabelCounts],
    problems: Problems,
) -> None:
    """Notes images of the same content with different labels, where both are known.

    Args:
        entries: The images of all data sets.
        facts: What is known of each, by key.
        labels: The labels of each data set.
        problems: Takes the note.
    """
    conflicts = []
    for equal in _by_content(entries, facts):
        for first, second in combinations(_by_label(equal), 2):
            label = _differing(first, second)
            if label is not None:
                shown = (_with_label(e, label, labels) for e in (first, second))
                conflicts.append(' = '.join(shown))
                break
    problems.found(
        'equal images with different labels',
        conflicts,
        'One of the labels is wrong: correct it, or leave the images out.',
    )


def find_repetitions(entries: Sequence[Entry], notes: Problems) -> None:
    """Notes images that stand in a data set more than once."""
    counts = Counter((entry.set_name, entry.key) for entry in entries)
    names = {(entry.set_name, entry.key): entry.name for entry in entries}
    repeated = defaultdict(list)
    for place, count in counts.items():
        if count > 1:
            repeated[place[0]].append(f'{names[place]} {count} times')
    remedy = 'Correct the table, unless this is meant.'
    for set_name, images in repeated.items():
        notes.found(f'images that stand in {set_name} more than once', images, remedy)


def _by_content(
    entries: Sequence[Entry], facts: Mapping[str, ImageFacts]
) -> list[list[Entry]]:
    """Puts together what has the same content, the same image included."""
    together = defaultdict(list)
    for entry in entries:
        if content := facts[entry.key].content:
            together[content].append(entry)
    return [equal for equal in together.values() if len(equal) > 1]


def matches(
    duplicates: Sequence[Sequence[Entry]], first: str, second: str
) -> list[str]:
    """Names the images of the second set that are other images of the first."""
    found = []
    for equal in duplicates:
        for entry in equal:
            others = (e for e in equal if e.set_name == first and e.key != entry.key)
            other = next(others, None)
            if entry.set_name == second and other:
                found.append(f'{entry.name} = {other.name}')
    return found


def _by_label(equal: Sequence[Entry]) -> list[Entry]:
    """Gives one image for each label that equal images have."""
    return list({e.scores: e for e in equal if e.scores is not None}.values())


def _differing(first: Entry, second: Entry) -> int | None:
    """Gives the number of a label that both have and that differs."""
    pairs = zip(first.scores or (), second.scores or (), strict=False)
    for label, scores in enumerate(pairs):
        if MISSING not in scores and scores[0] != scores[1]:
            return label
    return None


def _with_label(entry: Entry, label: int, labels: Mapping[str, LabelCounts]) -> str:
    known, scores = labels[entry.set_name], entry.scores or ()
    if known.multi_label:
        text = f'{known.names[label]} {scores[label]:g}'
    else:
        text = known.names[scores.index(1)]
    return f'{entry.name} ({entry.set_name}: {text})'
