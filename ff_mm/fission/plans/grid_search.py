"""Grid search, which FissionFusion replaces and is compared with."""

from __future__ import annotations

from collections.abc import Sequence
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
        **common: As :class:`FineTuningPlan` takes them; ``base`` has the values of each
            model.

    Raises:
        ConfigError: An unknown key, or a value that makes no plan.
    """

    def __init__(
        self,
        lrs: Sequence[float],
        seeds: Sequence[int],
        augmentations: Sequence[str],
        **common: Any,
    ) -> None:
        super().__init__(lrs, seeds, augmentations, **common)
