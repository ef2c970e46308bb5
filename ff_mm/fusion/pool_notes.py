"""What a user should know of a pool before it is used."""

from __future__ import annotations

from collections.abc import Iterator

from ff_mm.merging.pool import Pool


def pool_notes(pool: Pool) -> Iterator[str]:
    """Gives a line for each thing to be known.

    Args:
        pool: Without copies.
    """
    yield from pool.notes()
    for copied, original in pool.copies:
        yield (
            f'{copied} has the weights of {original} and counts once with it; to count '
            'both: soup.keep_copies=True'
        )
    for trial, reason in pool.failed:
        yield f'{trial} is not in the pool, it has failed: {reason}'
    if not pool.complete:
        yield 'the generation is not finished, the pool not complete'
