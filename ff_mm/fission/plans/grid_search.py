"""Grid search, which FissionFusion replaces and is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import TASK_UTILS

from ff_mm.fission.plans.plan import FineTuningPlan


@TASK_UTILS.register_module()
class GridSearchPlan(FineTuningPlan):
    """Grid search: a model for each learning rate, augmentation and seed.

    With 8 learning rates, 3 augmentations and 2 seeds it is the paper's: 48 models of
    50 epochs (FissionFusion, section 4.1). They start from the same probe as the bases
    of :class:`ff_mm.fission.plans.fgg.FGGPlan`, if the first augmentation and seed
    are that plan's, and with the same hyper-parameters are the same models.

    Args:
        lrs: Learning rates.
        seeds: Seeds; the probe takes the first.
        augmentations: Names in the config's ``augmentations``; likewise.
        probe: As :class:`FineTuningPlan` takes it.
        base: Likewise; the values of each model.
        domains: Likewise.
        folds: Likewise.

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.
    """

    def __init__(
        self,
        lrs: Sequence[float],
        seeds: Sequence[int],
        augmentations: Sequence[str],
        probe: Mapping[str, Any] | None = {},
        base: Mapping[str, Any] = {},
        domains: Mapping[str, Mapping[str, Any]] | None = None,
        folds: int | str | Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(lrs, seeds, augmentations, probe, base, domains, folds)
