"""What a user did that ff_mm cannot go on with, said in one clear message."""

from __future__ import annotations


class FFMMError(ValueError):
    """Base of all errors that are the input's and not the program's.

    The message names the file, key or value, what was expected and what to do. The
    tools print it without a traceback and exit with status 2.
    """


class ConfigError(FFMMError):
    """A config, or a ``--cfg-options`` item, that cannot be carried out."""


class LedgerError(FFMMError):
    """A work directory whose ledger does not belong to this config or is damaged."""


class TrialError(FFMMError):
    """A trial that ended without anything to go on with."""
