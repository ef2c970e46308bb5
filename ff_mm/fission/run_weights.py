"""The weights of a run: read, replaced, and validated outside of its loop."""

from __future__ import annotations

from pathlib import Path

from mmengine.dist import broadcast
from mmengine.runner import Runner

from ff_mm.engine.distributed import unwrapped_model
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.merging.state_dict import StateDict, copy_weights


def weights_of_run(runner: Runner) -> StateDict:
    """Returns the network's own tensors."""
    return unwrapped_model(runner.model).state_dict()


def copy_of_run(runner: Runner) -> StateDict:
    """Returns a copy of the network's tensors."""
    return {key: value.clone() for key, value in weights_of_run(runner).items()}


def load_into_run(runner: Runner, weights: StateDict) -> None:
    """Replaces the network's weights, on all ranks by those of the first."""
    own = weights_of_run(runner)
    copy_weights(weights, own, 'the new weights')
    for value in own.values():
        broadcast(value)  # batch-norm statistics of ranks can differ


def validation_of(runner: Runner) -> EvaluationSet:
    """Returns the run's validation set; passes over it are no part of the run's loop.

    Hooks that count epochs or keep the best hear nothing of them.
    """
    return EvaluationSet(
        'val',
        runner.val_loop.dataloader,
        runner.val_loop.evaluator,
        EvaluationOptions(early_exit=False),
        folder=Path(runner.work_dir),
        notify=runner.logger.info,
        device=next(runner.model.parameters()).device,
    )
