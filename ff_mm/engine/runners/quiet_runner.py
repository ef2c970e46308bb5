"""MMEngine's Runner as one of many in a process."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stdout
from typing import Any

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import RUNNERS, DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer


@RUNNERS.register_module()
class QuietRunner(Runner):
    """A Runner that logs to its file, warns on the console, and leaves no trace.

    The console belongs to the progress display of the whole plan. MMEngine keeps
    loggers, message hubs, visualizers and scopes in global tables by name;
    :meth:`release` takes this run's out again, which closes its files.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Builds the logger; its console handler lets only warnings pass."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(_is_for_the_user)
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict:
        """Loads a checkpoint without MMEngine's line on standard output."""
        with redirect_stdout(io.StringIO()):
            return super().load_checkpoint(*args, **kwargs)

    def release(self) -> None:
        """Removes the run's global instances and closes its files."""
        for handler in list(self.logger.handlers):
            self.logger.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()
        self.visualizer.close()
        for cls in (MMLogger, MessageHub, DefaultScope, type(self.visualizer)):
            cls._instance_dict.pop(self.experiment_name, None)
        Visualizer._instance_dict.pop(self.experiment_name, None)


def _is_for_the_user(record: logging.LogRecord) -> bool:
    """Drops MMEngine's warnings about its own use of its own deprecated classes."""
    return 'will be deprecated in future' not in record.getMessage()
