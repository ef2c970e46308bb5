"""The checkpoint of the best epoch, with its metrics and optimizer state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.display.numbers import overall
from ff_mm.engine.checkpoint_io import where_to_write
from ff_mm.errors import ConfigError
from ff_mm.plain import plain_metrics

BEST_FILE = 'best.pth'
_KEY = 'best'


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Keeps ``best.pth``: the epoch with the best value of one validation metric.

    Unlike ``CheckpointHook(save_best=...)`` the file holds the epoch's validation
    metrics (``meta['metrics']``) and the optimizer's state, from which fission starts.
    An epoch must be strictly better to replace an earlier one.

    Args:
        monitor (str): The metric's key, such as ``'loss'``.
        rule (str): ``'less'`` or ``'greater'``: which value is better.
        keep (str): ``'best'``; or ``'last'``: each epoch replaces the one before, as
            long as its metric is a number.

    Raises:
        ValueError: ``rule`` or ``keep`` is neither.
    """

    priority = 'LOW'

    def __init__(self, monitor: str, rule: str, keep: str = 'best') -> None:
        if rule not in ('less', 'greater'):
            raise ValueError(f"rule={rule!r}: expected 'less' or 'greater'")
        if keep not in ('best', 'last'):
            raise ValueError(f"keep={keep!r}: expected 'best' or 'last'")
        self.keep = keep
        self.monitor = monitor
        self.rule = rule

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Saves the model if this epoch is the best so far.

        Raises:
            ConfigError: The monitored metric is not among those computed, or no number.
        """
        if metrics is None or self.monitor not in metrics:
            raise ConfigError(
                f'monitor={self.monitor!r} is not among the validation metrics '
                f'{sorted(metrics or {})}: change monitor, or add it to val_evaluator'
            )
        metrics = plain_metrics(metrics)  # some are NumPy's, which no ledger takes
        value = metrics[self.monitor]
        if not isinstance(value, (int, float)):
            raise ConfigError(
                f'monitor={self.monitor!r} is {value!r:.40}, and no number: change it '
                f'to one of {sorted(overall(metrics))}'
            )
        if self._is_better(value, best_epoch(runner)):
            save_best(runner, metrics)

    def _is_better(self, value: float, best: dict | None) -> bool:
        if math.isnan(value):
            return False
        if best is None or self.keep == 'last':
            return True
        old = best['metrics'][self.monitor]
        return value < old if self.rule == 'less' else value > old


def save_best(runner: Runner, metrics: Mapping[str, Any], **meta: Any) -> None:
    """Makes the weights as they are the best of the run.

    Args:
        runner: The run.
        metrics: Validation metrics of these weights.
        **meta: What to write into the file's meta besides.
    """
    record = dict(epoch=runner.epoch, metrics=dict(metrics))
    runner.message_hub.update_info(_KEY, record)
    _save(runner, dict(record, iter=runner.iter, **meta))


@master_only
def _save(runner: Runner, meta: dict[str, Any]) -> None:
    runner.save_checkpoint(
        runner.work_dir,
        BEST_FILE,
        save_param_scheduler=False,
        meta=meta,
        backend_args=where_to_write(runner),
    )


def best_epoch(runner: Runner) -> dict | None:
    """Returns ``{'epoch', 'metrics'}`` of the best epoch so far, or None."""
    return runner.message_hub.get_info(_KEY)
