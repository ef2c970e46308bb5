"""Early stopping whose patience survives an interruption."""

from __future__ import annotations

from mmengine.hooks import EarlyStoppingHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

_KEY = 'early_stopping'


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """:class:`EarlyStoppingHook` that keeps its counter in the message hub.

    MMEngine's hook forgets on resuming how long it has been waiting, so that a run
    that was interrupted stops later than one that was not. Arguments are those of
    :class:`mmengine.hooks.EarlyStoppingHook`; give ``rule``, it is not guessed here.
    """

    def __init__(self, monitor: str, rule: str, **kwargs: object) -> None:
        super().__init__(monitor=monitor, rule=rule, **kwargs)

    def before_train(self, runner: Runner) -> None:
        """Takes up the counter of the run that is resumed."""
        state = runner.message_hub.get_info(_KEY)
        if state is not None:
            self.wait_count = state['wait_count']
            self.best_score = state['best_score']

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Decides whether to stop, and records what the decision rests on."""
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(
            _KEY,
            dict(wait_count=self.wait_count, best_score=float(self.best_score)),
        )
