"""What an earlier run of a plan has left: said, and mended where that can be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ff_mm.engine.hooks.resume_state_hook import remove_states
from ff_mm.errors import TrialError
from ff_mm.fission.ledger import Ledger
from ff_mm.fission.manifest import forget_damaged
from ff_mm.fission.record import trial_folder
from ff_mm.fission.trial import Trial


def look_back(
    ledger: Ledger,
    suspects: Collection[str],
    trials: Sequence[Trial],
    chosen: Collection[Trial],
    retry: bool,
    say: Callable[[str], None],
) -> None:
    """Says what has changed since the plan was begun, and mends what it can.

    Args:
        ledger: Of the plan.
        suspects: Trials of which files may be damaged.
        trials: Those of the plan.
        chosen: Those that this command is for.
        retry: Whether failed ones are given another chance.
        say: Takes lines for the user.
    """
    for change in ledger.drift:
        say(f'note: begun with another environment, last bits may differ: {change}')
    for line in [*ledger.notes, *forget_damaged(ledger, suspects)]:
        say(f'note: {line}')
    for trial in trials:
        _look_at_failure(ledger, trial, trial in chosen, retry, say)


def _look_at_failure(
    ledger: Ledger,
    trial: Trial,
    is_chosen: bool,
    retry: bool,
    say: Callable[[str], None],
) -> None:
    """Gives a trial that has failed another chance, if that is wanted."""
    failure = ledger.failures.get(trial.id)
    if failure is None:
        return
    if failure['kind'] == 'parent failed':
        if not any(map(ledger.has_failed, trial.parents)):
            ledger.forget(trial.id)
        elif is_chosen:
            say(f'note: {trial.id}: {failure["reason"]}')
    elif is_chosen and retry:
        if failure['kind'] == 'diverged':  # it would diverge once more
            remove_states(trial_folder(ledger.work_dir, trial.id))
        ledger.forget(trial.id)
    elif is_chosen:
        say(
            f'note: {trial.id} has failed ({failure["reason"]}); --retry-failed tries '
            'it again'
        )


def require_parents(ledger: Ledger, chosen: Sequence[Trial]) -> None:
    """Refuses to begin with a trial whose parent nobody trains.

    Args:
        ledger: Of the plan.
        chosen: The trials that this command is for.

    Raises:
        TrialError: Such a trial, and what to do.
    """
    ids = {trial.id for trial in chosen}
    for trial in chosen:
        for parent in trial.parents:
            if parent in ids or ledger.is_settled(parent):
                continue
            if ledger.holder(parent) is None:
                raise TrialError(
                    f'trial {trial.id!r} starts from {parent!r}, which is not done and '
                    f'nobody trains: --trial {parent} {trial.id} trains both'
                )
