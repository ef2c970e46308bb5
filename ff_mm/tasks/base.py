"""What differs between kinds of models; all the rest of ff_mm knows none of it.

A config says ``task=dict(type=...)``; one that does not has the task of its
``default_scope``, and :class:`Task` where that has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import TASK_UTILS

from ff_mm.config import without_pretrained
from ff_mm.errors import ConfigError

#: The key of a config that says what its task is.
KEY = 'task'
#: What MMEngine takes where a config names no scope.
ROOT_SCOPE = 'mmengine'


class MadeUp(NamedTuple):
    """Data samples of two models that nobody has trained.

    Attributes:
        chance: Random predictions, one dict a case, as ``val_step`` leaves them.
        perfect: Predictions that are the truth, likewise.
    """

    chance: list[dict[str, Any]]
    perfect: list[dict[str, Any]]


@TASK_UTILS.register_module()
class Task:
    """Any model of MMEngine, by what its own config says of it: the fallback.

    Metrics are those of the config's ``val_evaluator`` and ``test_evaluator``, whatever
    they are. Nothing is known of what the model says of a case.

    Args:
        heads: Names of the parts of the model, as in ``model.named_children()``, that a
            linear probe trains; None: those whose names end in ``head``.
    """

    #: ``collate_fn`` of data loaders that say none; None: MMEngine's own.
    collate: Mapping[str, Any] | None = None
    #: Whether there is a probability of each class or label in ``pred_score`` of every
    #: data sample. Ensembles, decisions and distillation are made of these.
    has_scores = False

    def __init__(self, heads: Sequence[str] | None = None) -> None:
        self.heads = heads

    def outputs(self, model: Mapping[str, Any]) -> int | None:
        """Returns how many classes or labels a model tells apart, if it says so.

        Args:
            model: Its config.
        """
        return None

    def describe(self, name: str, dataset: Any) -> str:
        """Says in one line what a data set consists of.

        Args:
            name: What to call it, such as ``'train'``.
            dataset: Any data set, fully initialised.
        """
        return f'{name}: {len(dataset)} cases'

    def check(
        self,
        cfg: Config,
        datasets: Mapping[str, Any],
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Checks, before anything is trained or evaluated, that data and model fit.

        That classes agree, and that no case of train is in another set, has been
        checked before.

        Args:
            cfg: The config, resolved.
            datasets: ``train``, ``val``, ``test`` and out-of-distribution sets, by
                name, fully initialised; ``val`` is always there.
            notify: Takes notes of what is odd but may be meant.

        Raises:
            DatasetError: All that is wrong with the data.
            ConfigError: A model that does not fit them.
        """

    def made_up(
        self, model: Mapping[str, Any], dataset: Any, infos: Sequence[Mapping[str, Any]]
    ) -> MadeUp | None:
        """Makes up predictions, by which metrics are tried before there is a model.

        Args:
            model: The config of the model.
            dataset: The validation set.
            infos: Data infos of some of its cases, or of all.

        Returns:
            None where nobody knows what the model says of a case.
        """
        return None

    def probe(self, model: Mapping[str, Any], norm_eval: bool) -> dict[str, Any]:
        """Returns what a config needs so that only the head of a model trains.

        Args:
            model: The config of the model.
            norm_eval: Whether batch norm of the frozen part keeps its statistics.

        Returns:
            Dotted keys and their values, as in ``--cfg-options``. The weights keep
            their names.
        """
        probed = dict(
            type='mmengine.LinearProbe', model=dict(model), norm_eval=norm_eval
        )
        if self.heads is not None:
            probed['heads'] = list(self.heads)
        return {'model': dict(probed, _delete_=True)}

    def deployment(self, cfg: Config) -> dict[str, Any]:
        """Reduces a config to what the model's own library needs for inference.

        Args:
            cfg: A resolved config with ``model`` and a test or validation data loader.

        Returns:
            The config, in which nothing is left that ff_mm alone reads, needs a path or
            fetches something: the weights are in the checkpoint. Of modules that the
            config imports all but ``ff_mm``.
        """
        loader = cfg.get('test_dataloader') or cfg.val_dataloader
        kept: dict[str, Any] = dict(
            default_scope=scope_of(cfg),
            model=self.stock(without_pretrained(cfg.model.to_dict())),
            test_dataloader=dict(
                batch_size=loader.get('batch_size', 1),
                dataset=dict(
                    pipeline=self.stock(loader['dataset'].get('pipeline', []))
                ),
            ),
        )
        if cfg.get('data_preprocessor'):
            kept['data_preprocessor'] = cfg.data_preprocessor
        if imports := _others(cfg.get('custom_imports') or {}):
            kept['custom_imports'] = dict(imports=imports, allow_failed_imports=False)
        return kept

    def stock(self, value: Any) -> Any:
        """Replaces what ff_mm adds to the library by what the library has.

        Args:
            value: A part of a config, at any depth of which there may be such things;
                what takes their place reads the same weights and predicts the same.
        """
        if isinstance(value, (list, tuple)):
            return type(value)(self.stock(item) for item in value)
        if not isinstance(value, dict):
            return value
        return self.stock_part({key: self.stock(item) for key, item in value.items()})

    def stock_part(self, part: dict[str, Any]) -> dict[str, Any]:
        """Replaces one dict, of which all that is within is stock already."""
        return part

    def notes(self, cfg: Config) -> list[str]:
        """Says what the library does not do, where the deployed model is used.

        Args:
            cfg: As for :meth:`deployment`.
        """
        return []

    def require_scores(self, what: str) -> None:
        """Refuses what is made of the probabilities of classes, where there are none.

        Args:
            what: The key or the tool that asks for it, which opens the error.

        Raises:
            ConfigError: There are none.
        """
        if not self.has_scores:
            raise ConfigError(
                f'{what}: needs the probability of each class for every case, which '
                f'task {type(self).__name__!r} does not have; leave it out (best, '
                'uniform, greedy, GoU and GoG need metrics only)'
            )


def scope_of(cfg: Mapping[str, Any] | Config) -> str:
    """Returns in which scope of MMEngine's registries the names of a config are."""
    return cfg.get('default_scope') or ROOT_SCOPE


def _others(custom_imports: Mapping[str, Any]) -> list[str]:
    """Modules that a config imports, without those of ff_mm."""
    named = custom_imports.get('imports') or []
    names = [named] if isinstance(named, str) else list(named)
    return [name for name in names if name.split('.')[0] != 'ff_mm']
