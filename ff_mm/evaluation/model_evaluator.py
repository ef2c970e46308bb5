"""Evaluating any number of weights of one model on val, test and OOD sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.runner import set_random_seed

from ff_mm.config import resolve
from ff_mm.config_loaders import with_defaults
from ff_mm.cores import leaves_workers_open
from ff_mm.datasets.checks.on_disk import images_identity
from ff_mm.datasets.checks.truth import meta_of
from ff_mm.datasets.sharing import build_dataset
from ff_mm.engine.distributed import init_distributed, unwrapped_model
from ff_mm.engine.freed_memory import keep_freed_memory
from ff_mm.engine.hooks.epoch_seed_hook import SeededLoading
from ff_mm.engine.precision import FLOAT32, has_tf32
from ff_mm.engine.quiet_runner import QuietRunner
from ff_mm.engine.worker_failures import loading_images
from ff_mm.evaluation.batch_norm_folding import (
    BatchNormFolding,
    Foldable,
    find_foldable,
)
from ff_mm.evaluation.batch_norm_reestimation import KeptBatches, reestimate_batch_norm
from ff_mm.evaluation.early_exit import Selection
from ff_mm.evaluation.evaluation_set import Count, EvaluationSet
from ff_mm.evaluation.fingerprint import (
    evaluation_fingerprint,
    validation_fingerprint,
    validation_view,
)
from ff_mm.evaluation.metrics.dry_run import DryRun, dry_run
from ff_mm.evaluation.options import EvaluationOptions
from ff_mm.evaluation.parts_of_config import network_config, sets_of
from ff_mm.merging import NoBetterThan
from ff_mm.merging.manifest import Validation
from ff_mm.merging.state_dict import (
    CheckpointError,
    StateDict,
    check_same_architecture,
    copy_weights,
    has_batch_norm,
)
from ff_mm.tasks import task_of


class ModelEvaluator:
    """One network, built once, and the sets that any weights of it are evaluated on.

    Args:
        cfg: A config with ``model``, ``val_dataloader`` and ``val_evaluator``;
            ``test_dataloader`` and ``ood_dataloaders`` (see
            :func:`ff_mm.config_loaders.ood_dataloaders`), evaluated with
            ``test_evaluator`` or their own ``evaluator``, if there are such sets;
            ``evaluation``, see
            :class:`ff_mm.evaluation.options.EvaluationOptions`; ``fold_dataloaders``,
            by name, evaluated as validation is. References are resolved.
        notify: Takes lines for the user.

    Attributes:
        task: That of the config.
        training: What re-estimating batch norm has cost: models, and images.
    """

    def __init__(
        self, cfg: Config, notify: Callable[[str], None] = lambda line: None
    ) -> None:
        self.cfg = resolve(cfg)
        self.task = task_of(self.cfg)
        self.options = EvaluationOptions.from_config(self.cfg.get('evaluation'))
        init_distributed(self.cfg)
        self.runner = QuietRunner.from_cfg(network_config(self.cfg))
        self.runner.call_hook('before_run')
        if self.device.type == 'cpu':
            keep_freed_memory()
        self._notify = notify
        self._folding: BatchNormFolding | None = None
        self._kept_batches: dict[int, KeptBatches] = {}
        self.training = Count()
        self._tried: dict[str, DryRun | None] = {}
        self.sets = {
            name: self._build_set(name, loader, metrics)
            for name, (loader, metrics) in sets_of(self.cfg).items()
        }

    @property
    def model(self) -> torch.nn.Module:
        """The network, without a distributed wrapper."""
        return unwrapped_model(self.runner.model)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    @property
    def precision(self) -> Any:
        """What ``evaluation.dtype`` says, as keys have it.

        What earlier versions called None was TF32 on devices that have it, so float32
        has its name there, and is made anew.
        """
        unnamed = self.options.dtype is None and has_tf32(self.device)
        return FLOAT32 if unnamed else self.options.dtype

    @cached_property
    def weights(self) -> StateDict:
        """The network's own tensors, see :meth:`load_from`."""
        return self.model.state_dict()

    @cached_property
    def has_batch_norm(self) -> bool:
        """Whether the network has statistics that could be re-estimated."""
        return has_batch_norm(self.weights)

    @property
    def ood_names(self) -> list[str]:
        """Names of the out-of-distribution sets."""
        return [name[4:] for name in self.sets if name.startswith('ood/')]

    @property
    def set_names(self) -> list[str]:
        """Names of the sets that :meth:`evaluate_all` is of."""
        folds = self.cfg.get('fold_dataloaders') or {}
        return [name for name in self.sets if name not in folds]

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Meta information of the validation set, such as its classes."""
        return meta_of(self.val_dataset)

    @property
    def val_dataset(self) -> Any:
        """The validation set."""
        return self.sets['val'].dataset

    @cached_property
    def images(self) -> dict[str, str]:
        """What identifies the images of each set as they lie on disk."""
        return {name: images_identity(s.dataset) for name, s in self.sets.items()}

    @cached_property
    def training_images(self) -> str:
        """What identifies the images on which batch norm is re-estimated."""
        return images_identity(build_dataset(self.cfg.train_dataloader.dataset))

    @property
    def validation(self) -> Validation:
        """What is validated on, as generations record it."""
        view = validation_view(self.cfg)
        return Validation(self._validation, self.images['val'], view)

    @cached_property
    def _validation(self) -> str:
        return validation_fingerprint(self.cfg, self.val_dataset)

    @cached_property
    def keys(self) -> dict[str, str]:
        """What an evaluation on each set consists of, but for the weights.

        A SHA-256 over images, labels, pipeline, preprocessing, network, metrics and
        precision, by the name of the set.
        """
        return {
            name: self._key(name, metrics=metrics)
            for name, (_, metrics) in sets_of(self.cfg).items()
        }

    @cached_property
    def prediction_keys(self) -> dict[str, str]:
        """As :attr:`keys`, without the metrics, of which probabilities know nothing."""
        if not self.task.has_scores:  # what metrics keep is all that there is
            return {name: self.keys[name] for name in self.sets}
        return {name: self._key(name) for name in self.sets}

    def metrics(self, split: str) -> Any:
        """Returns the config of the metrics of a set."""
        return sets_of(self.cfg)[split][1]

    def dry_run(self, split: str) -> DryRun | None:
        """Finds out what the metrics of a set give, without a model."""
        dataset = self.sets[split].dataset
        return dry_run(self.metrics(split), dataset, self.task, self.cfg.model)

    def may_give(self, split: str, metrics: Mapping[str, Any]) -> bool:
        """Says whether metrics are such as an evaluation on a set gives.

        Args:
            split: The set.
            metrics: What a file says.
        """
        if split not in self._tried:
            self._tried[split] = self.dry_run(split)
        tried = self._tried[split]
        return tried is None or tried.has_such(metrics)

    def check(self, state_dict: StateDict, name: str) -> None:
        """Checks that weights are of the config's model.

        Args:
            state_dict: The weights.
            name: The file they are from.

        Raises:
            CheckpointError: Keys, shapes or dtypes differ; names a few.
        """
        problems = check_same_architecture(
            state_dict, self.weights, name, f'the model of {self.cfg.filename}'
        )
        if problems:
            raise CheckpointError('; '.join(problems))

    def load(self, state_dict: StateDict) -> None:
        """Loads weights into the network; every key must fit."""
        self.load_from(lambda out: copy_weights(state_dict, out, 'the weights'))

    def load_from(self, load: Callable[[StateDict], Any]) -> None:
        """Lets weights be written straight into the network's own tensors.

        Args:
            load: Fills the tensors that it is given.
        """
        if self._folding is not None:
            self._folding.unfold()
        load(self.weights)

    def evaluate(self, split: str) -> dict[str, Any]:
        """Evaluates the network with the weights that it has.

        Args:
            split: ``'val'``, ``'test'`` or ``'ood/<name>'``.

        Returns:
            The metrics of the split's evaluator.
        """
        with loading_images():
            return self.sets[split].evaluate(self.runner.model)

    def predict(self, split: str) -> list[dict[str, Any]]:
        """Returns what the network says of each case, with the weights that it has.

        Args:
            split: As :meth:`evaluate` takes it.

        Returns:
            Data samples as dicts, in the order of the data set.
        """
        with loading_images():
            return self.sets[split].predict(self.runner.model)

    def results(self, split: str, batches: int | None = None) -> dict[str, Any]:
        """Returns what metrics keep of each case, see :meth:`EvaluationSet.results`.

        Args:
            split: As :meth:`evaluate` takes it.
            batches: Of so many batches only; None: of all cases.
        """
        with loading_images():
            return self.sets[split].results(self.runner.model, batches)

    def score(self, selection: Selection) -> dict[str, Any] | NoBetterThan:
        """Evaluates one of many candidates on validation.

        Args:
            selection: What the score is to decide. The pass ends as soon as that is
                clear.

        Returns:
            The metrics, or what the candidate could have reached at best.
        """
        val = self.sets['val']
        with loading_images():
            val.keep()
            if self.options.fold_batch_norm:
                self.fold_batch_norm()
            return val.evaluate(self.runner.model, selection)

    def fold_batch_norm(self) -> None:
        """Makes batch norm part of the convolutions, until weights are loaded anew."""
        self.prepare_folding().fold()

    def prepare_folding(
        self, once: Callable[[Callable[[], Any]], Any] = lambda work: work()
    ) -> BatchNormFolding:
        """Finds out what can be folded, the first time; the ranks of a group together.

        Args:
            once: Has one of several processes do something, and gives all the result.
        """
        if self._folding is None and not self.sets['val'].has_images:
            self._folding = BatchNormFolding(self.model, ())
        if self._folding is None:
            find = partial(find_foldable, self.model, self.sets['val'].first_output)
            found = [once(find) if is_main_process() else None]
            broadcast_object_list(found)
            pairs, problem = found[0] or Foldable()
            if problem:
                self._notify(f'batch norm is not folded into convolutions: {problem}')
            self._folding = BatchNormFolding(self.model, pairs)
        return self._folding

    def evaluate_all(
        self, evaluate: Callable[[str], dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Evaluates the network on every set.

        Args:
            evaluate: Gives the metrics of a set; by default :meth:`evaluate`.

        Returns:
            ``{'val': metrics, 'test': metrics or None, 'ood': {name: metrics}}``.
        """
        evaluate = evaluate or self.evaluate
        return dict(
            val=evaluate('val'),
            test=evaluate('test') if 'test' in self.sets else None,
            ood={name: evaluate(f'ood/{name}') for name in self.ood_names},
        )

    def reestimate_batch_norm(self, num_samples: int, keep: bool = False) -> int:
        """Re-estimates batch-norm statistics of the network's weights on training data.

        Args:
            num_samples: How many training images to use at most.
            keep: Whether the images stay in memory, for other weights to come. They
                are the same ones, with the same augmentations, in any case.

        Returns:
            How many were used.
        """
        with self.options.precision(self.device, mixed=False):
            used = self._reestimate(num_samples, keep)
        self.training.passes += 1
        self.training.images += used // get_world_size()
        return used

    def _reestimate(self, num_samples: int, keep: bool) -> int:
        kept = self._kept_batches.get(num_samples)
        if kept is not None:
            return reestimate_batch_norm(self.model, kept, num_samples)
        # The same images and augmentations whatever was evaluated before.
        set_random_seed(self.runner.seed)
        loader = with_defaults(self.cfg.train_dataloader, self.task.collate)
        batches = self.runner.build_dataloader(loader, seed=self.runner.seed)
        if leaves_workers_open(self.cfg.train_dataloader):
            SeededLoading(batches, by_batch=True).announce(0, self.runner.seed)
        if keep:
            kept = self._kept_batches[num_samples] = KeptBatches(batches, num_samples)
        with loading_images():
            return reestimate_batch_norm(
                self.model, batches if kept is None else kept, num_samples
            )

    def close(self) -> None:
        """Releases the Runner's global instances."""
        self.runner.release()

    def _key(self, split: str, **more: Any) -> str:
        loader, _ = sets_of(self.cfg)[split]
        dataset = self.sets[split].dataset
        parts = dict(
            shown=evaluation_fingerprint(self.cfg, loader, dataset),
            # Two sets can have images of the same names and labels in other folders.
            dataset=loader['dataset'],
            classes=meta_of(dataset).get('classes'),
            model=self.cfg.model,
            dtype=self.precision,
            **more,
        )
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _build_set(self, name: str, loader: Any, metrics: Any) -> EvaluationSet:
        # Workers that wait for a second pass, which hardly ever comes, are slow to end.
        loader = dict(
            with_defaults(loader, self.task.collate), persistent_workers=False
        )
        return EvaluationSet(
            name,
            self.runner.build_dataloader(loader, seed=self.runner.seed),
            self.runner.build_evaluator(metrics),
            self.options,
            folder=Path(self.cfg.work_dir),
            notify=self._notify,
            device=self.device,
        )
