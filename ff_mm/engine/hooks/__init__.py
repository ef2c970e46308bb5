"""Hooks for fission: what is kept, when, and how a run can be taken up again."""

from ff_mm.engine.hooks.best_checkpoint_hook import BestCheckpointHook
from ff_mm.engine.hooks.channels_last_hook import ChannelsLastHook
from ff_mm.engine.hooks.device_pipeline_hook import DevicePipelineHook
from ff_mm.engine.hooks.divergence_hook import DivergenceHook
from ff_mm.engine.hooks.edge_hooks import EarlyWorkersHook, KeptValidationHook
from ff_mm.engine.hooks.epoch_seed_hook import EpochSeedHook
from ff_mm.engine.hooks.frozen_batch_norm_hook import FrozenBatchNormHook
from ff_mm.engine.hooks.label_weights_hook import LabelWeightsHook
from ff_mm.engine.hooks.logit_adjustment_hook import LogitAdjustmentHook
from ff_mm.engine.hooks.pruning_mask_hook import PruningMaskHook
from ff_mm.engine.hooks.resumable_early_stopping_hook import (
    ResumableEarlyStoppingHook,
)
from ff_mm.engine.hooks.resume_state_hook import ResumeStateHook
from ff_mm.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from ff_mm.engine.hooks.snapshot_hook import SnapshotHook
from ff_mm.engine.hooks.start_hook import StartHook
from ff_mm.engine.hooks.termination_hook import TerminationHook
from ff_mm.engine.hooks.view_seed_hook import ViewSeedHook
from ff_mm.engine.hooks.warm_start_hook import WarmStartHook

__all__ = [
    'BestCheckpointHook',
    'ChannelsLastHook',
    'DevicePipelineHook',
    'DivergenceHook',
    'EarlyWorkersHook',
    'EpochSeedHook',
    'FrozenBatchNormHook',
    'KeptValidationHook',
    'LabelWeightsHook',
    'LogitAdjustmentHook',
    'PruningMaskHook',
    'ResumableEarlyStoppingHook',
    'ResumeStateHook',
    'SafeCheckpointHook',
    'SnapshotHook',
    'StartHook',
    'TerminationHook',
    'ViewSeedHook',
    'WarmStartHook',
]
