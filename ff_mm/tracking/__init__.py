"""Experiment trackers: TensorBoard, MLflow, Weights & Biases.

They are asked for as MMEngine's users do, by ``visualizer.vis_backends``. A plan is a
group of runs, one for each trial and one for the plan; a soup, a comparison and an
analysis are a run each. What they show is a copy: all of it stands in files of the work
directory, whether or not a tracker is there.
"""

from ff_mm.tracking.mlflow_tracker import MLflowTracker
from ff_mm.tracking.tensorboard_tracker import TensorboardTracker
from ff_mm.tracking.tracked_run import TrackedRun
from ff_mm.tracking.tracker import Tracker
from ff_mm.tracking.tracking import Tracking, add_trackers, without_trackers
from ff_mm.tracking.wandb_tracker import WandbTracker

__all__ = [
    'MLflowTracker',
    'TensorboardTracker',
    'TrackedRun',
    'Tracker',
    'Tracking',
    'WandbTracker',
    'add_trackers',
    'without_trackers',
]
