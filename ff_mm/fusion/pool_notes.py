"""What a user should know of a pool before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator

from ff_mm.errors import ConfigError
from ff_mm.evaluation.fingerprint import check_class_numbering
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.merging.pool import Pool


def notes_on_set(pool: Pool, evaluator: ModelEvaluator) -> Iterator[str]:
    """Says what is unusual about a pool, and about it on a validation set, a line each.

    Args:
        pool: The ingredients, of which copies may have been left out.
        evaluator: Where they are evaluated.

    Raises:
        CheckpointError: A model numbers the classes in another way than the data.
    """
    yield from other_classes(pool, evaluator)
    known = [e.validation for e in pool.entries if e.validation is not None]
    if not all(each.is_of(evaluator.validation) for each in known):
        yield (
            'note: the pool was validated on other images or with another pipeline '
            '(image_size?) than this config has; it is evaluated anew'
        )
    yield from pool_notes(pool)


def check_view(pool: Pool, evaluator: ModelEvaluator) -> None:
    """Refuses to show models images in another way than in their training.

    Args:
        pool: The ingredients; of files without a manifest nothing is known.
        evaluator: Where they are evaluated.

    Raises:
        ConfigError: The pipelines or the preprocessing differ, and
            ``evaluation.other_view`` does not allow it.
    """
    if evaluator.options.other_view:
        return
    today = evaluator.validation.view or {}
    for entry in pool.entries:
        then = entry.validation.view if entry.validation else None
        if then is None or then == today:
            continue
        places = [*then, *(place for place in today if place not in then)]
        place = next(p for p in places if then.get(p) != today.get(p))
        raise ConfigError(
            f'{entry.file}: in its training images had {place}={then.get(place)!r}, '
            f'in this config it is {today.get(place)!r}; give the same image_size, or '
            'what else differs, as in training; if it is on purpose: '
            'evaluation.other_view=True'
        )


def pool_notes(pool: Pool) -> Iterator[str]:
    """Says what is unusual about a pool, a line each.

    Args:
        pool: The ingredients, of which copies may have been left out.
    """
    for note in pool.notes():
        yield f'note: {note}'
    for copied, original in pool.copies:
        yield (
            f'note: {copied} has the weights of {original} and counts once with '
            'it; to count both: soup.keep_copies=True'
        )
    for trial, reason in pool.failed:
        yield f'note: {trial} is not in the pool, it has failed: {reason}'
    if not pool.complete:
        yield 'note: the generation is not finished, the pool not complete'


def other_classes(pool: Pool, evaluator: ModelEvaluator) -> Iterator[str]:
    """Says whether models were trained with classes of other names.

    Raises:
        CheckpointError: A model numbers the classes in another way than the data.
    """
    classes = evaluator.dataset_meta.get('classes')
    other = [
        entry.name
        for entry in pool.entries
        if not check_class_numbering(entry.checkpoint, classes)
    ]
    if other and classes:
        yield (
            f'note: {other[0]} (one of {len(other)}) was trained with classes of '
            f'other names than {list(classes)}; make sure they mean the same'
        )
