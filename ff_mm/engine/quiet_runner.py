"""MMEngine's Runner as one of many in a process."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import RUNNERS, DefaultScope
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from ff_mm.datasets.sharing import build_dataset
from ff_mm.engine.background_writer import BackgroundWriter
from ff_mm.engine.precision import float32
from ff_mm.files import atomic_write


@RUNNERS.register_module()
class QuietRunner(Runner):
    """A Runner that logs to its file, warns on the console, and leaves no trace.

    The console belongs to the progress display of the whole plan. MMEngine keeps
    loggers, message hubs, visualizers and scopes in global tables by name;
    :meth:`release` takes this run's out again, which closes its files.

    What one run has paid for the next need not pay again: data sets are shared (see
    :mod:`ff_mm.datasets.sharing`), and so is compiled code.

    Training multiplies in float32, or with ``tf32=True`` in the config in TF32 where
    there is that; validation in float32 whatever training does.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> QuietRunner:
        """Builds a runner.

        Args:
            cfg: The config, which the run leaves as it is.
        """
        return super().from_cfg(_LaidOutOnce(cfg.to_dict(), filename=cfg.filename))

    @cached_property
    def writer(self) -> BackgroundWriter:
        """Writes the run's states and its best epoch while training goes on."""
        return BackgroundWriter()

    def train(self) -> nn.Module:
        """Trains; all that it writes is on disk when it ends, however it does."""
        try:
            with float32(tf32=bool(self.cfg.get('tf32'))):
                model = super().train()
        except BaseException:
            self.writer.close()
            raise
        self.writer.wait()
        return model

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> DataLoader:
        """Builds a data loader; its data set may share its cases with an earlier one.

        Args:
            dataloader: Its config, or the data loader itself.
            *args: Those of :meth:`mmengine.runner.Runner.build_dataloader`.
            **kwargs: Those of :meth:`mmengine.runner.Runner.build_dataloader`.
        """
        if isinstance(dataloader, dict) and isinstance(dataloader.get('dataset'), dict):
            # Not the data set itself, of which MMEngine would make a deep copy.
            dataset = dict(type=build_dataset, config=dataloader['dataset'])
            dataloader = dict(dataloader, dataset=dataset)
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Builds the loop of validation, in float32."""
        built = super().build_val_loop(loop)
        if built is not loop:
            built.run = float32()(built.run)
        return built

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Builds the logger; its console handler lets only warnings pass."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(_is_for_the_user)
        return logger

    @master_only
    def dump_config(self) -> None:
        """Writes the config where MMEngine does, but not through a link."""
        name = Path(self.cfg.filename or f'{self.timestamp}.py').name
        with atomic_write(Path(self.work_dir) / name, 'w') as file:
            file.write(self.cfg.pretty_text)

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict:
        """Loads a checkpoint without MMEngine's line on standard output."""
        with redirect_stdout(io.StringIO()):
            return super().load_checkpoint(*args, **kwargs)

    def _maybe_compile(self, target: str) -> None:
        """Compiles forward and backward pass, if the config says ``compile``."""
        super()._maybe_compile(target)
        if self.cfg.get('compile'):
            # An optimizer is compiled for its own parameters: in each run anew, until
            # torch's limit of such cases is reached and the rest runs differently.
            wrapper = self.optim_wrapper
            wrapper.update_params = torch.compiler.disable(wrapper.update_params)

    def release(self) -> None:
        """Ends the data workers, closes files, and removes the run's global instances.

        Workers that persist would else end when the run is garbage: Python collects it
        with what would tell them to, and torch then waits five seconds for each.
        """
        for loop in (self._train_loop, self._val_loop, self._test_loop):
            if isinstance(loop, BaseLoop):
                loop.dataloader._iterator = None
        for handler in list(self.logger.handlers):
            self.logger.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()
        self.visualizer.close()
        for cls in (MMLogger, MessageHub, DefaultScope, type(self.visualizer)):
            cls._instance_dict.pop(self.experiment_name, None)
        Visualizer._instance_dict.pop(self.experiment_name, None)


class _LaidOutOnce(Config):
    """A config that is not changed any more.

    MMEngine writes the text of the config into every checkpoint and several logs, and
    lays it out anew for each, which takes longer than the weights of a small network.
    """

    @cached_property
    def pretty_text(self) -> str:
        """The config as Python."""
        return super().pretty_text


def _is_for_the_user(record: logging.LogRecord) -> bool:
    """Drops MMEngine's warnings about its own use of its own deprecated classes."""
    return 'will be deprecated in future' not in record.getMessage()
