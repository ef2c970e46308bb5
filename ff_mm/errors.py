"""What a user did that ff_mm cannot go on with, said in one clear message."""

from __future__ import annotations

from collections.abc import Sequence

from ff_mm.one_line import one_line


class FFMMError(ValueError):
    """Base of all errors that are the input's and not the program's.

    The message names the file, key or value, what was expected and what to do. The
    tools print it without a traceback and exit with status 2.

    Args:
        *lines: The message, in most cases one line. Names in it may be anyone's: what a
            terminal would obey is escaped, line breaks within a line too.
    """

    @property
    def lines(self) -> Sequence[str]:
        """The lines of the message, as given."""
        return [str(line) for line in self.args]

    def __str__(self) -> str:
        """The message, escaped."""
        return '\n'.join(map(one_line, self.lines))


class ConfigError(FFMMError):
    """A config, or a ``--cfg-options`` item, that cannot be carried out."""


class LedgerError(FFMMError):
    """A work directory whose ledger does not belong to this config or is damaged."""


class TrialError(FFMMError):
    """A trial that ended without anything to go on with."""


class TrialDiverged(TrialError):
    """A trial whose loss or weights are no numbers any more.

    Args:
        what: What was seen.
        epoch: In which epoch, from 1.
        iteration: After which iteration of it, from 1.
        loss: The last loss on this rank; None if the model gave none.
    """

    def __init__(
        self, what: str, epoch: int, iteration: int, loss: float | None
    ) -> None:
        super().__init__(what, epoch, iteration, loss)
        self.what, self.epoch, self.iteration, self.loss = what, epoch, iteration, loss

    @property
    def lines(self) -> Sequence[str]:
        """The message."""
        loss = '' if self.loss is None else f' (loss {self.loss})'
        return [
            f'diverged in epoch {self.epoch}, iteration {self.iteration}{loss}: '
            f'{self.what}; lower the learning rate'
        ]
