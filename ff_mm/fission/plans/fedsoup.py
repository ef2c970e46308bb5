"""FedSoup: clients that train apart, such as hospitals, and share parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import TASK_UTILS

from ff_mm.errors import ConfigError
from ff_mm.fission.plans.plan import (
    FineTuningPlan,
    averaging,
    common_overrides,
    read_domains,
)
from ff_mm.fission.plans.stages import check_learning_rate
from ff_mm.fission.trial import Trial


@TASK_UTILS.register_module()
class FedSoupPlan(FineTuningPlan):
    """FedSoup: rounds of local training, personal models patched with global ones.

    In each round every client trains from the mean of all clients' models, weighted by
    their numbers of training images, with batch-norm statistics of its own. In the last
    rounds it pools those global models that help it on its own validation, see
    :class:`ff_mm.fission.fedsoup_hook.FedSoupHook`. The ingredients are the clients'
    models of the last round, and their mean, with batch norm re-estimated on the data
    of the config. It is a simulation: all clients are trained here.

    Args:
        clients: As ``domains`` of :class:`FineTuningPlan`; each has training and
            validation data of its own: ``dict(north={'train_dataloader.dataset.x': 1,
            'val_dataloader.dataset.x': 1})``.
        lr: The learning rate, constant.
        rounds: How many there are.
        epochs: Of local training in a round.
        begin: The part of the rounds after which models are patched.
        monitor: The validation metric that decides about it.
        rule: ``'greater'`` or ``'less'``: which value is better.
        seed: The seed; of the probe, too.
        augmentations: One, as :class:`FineTuningPlan` takes several.
        probe: As :class:`FineTuningPlan` takes it; where all clients begin.
        fine_tuning: Epochs of training that each client adds on its own data after the
            last round, from its own model; the released code has 15. The ingredients
            are then these models. 0: none.

    Raises:
        ConfigError: A value that makes no plan.

    References:
        Chen et al., "FedSoup: improving generalization and personalization in federated
        learning via selective model interpolation", MICCAI 2023 (arXiv 2307.10507).
        The released code decides on the clients' test sets; the paper, and this, on
        validation.
    """

    def __init__(
        self,
        clients: Mapping[str, Mapping[str, Any]] | None = None,
        lr: float = 1e-3,
        rounds: int = 20,
        epochs: int = 1,
        begin: float = 0.75,
        monitor: str = 'accuracy',
        rule: str = 'greater',
        seed: int = 0,
        augmentations: Sequence[str] | None = None,
        probe: Mapping[str, Any] | None = {},
        fine_tuning: int = 0,
    ) -> None:
        super().__init__([lr], [seed], augmentations, probe)
        self.domains = read_domains(clients, 'plan.clients')
        check_learning_rate('plan.lr', lr)
        if probe is None:
            raise ConfigError('plan.probe=None: clients need a common start; give one')
        for name, value, least in (
            ('rounds', rounds, 2),
            ('epochs', epochs, 1),
            ('fine_tuning', fine_tuning, 0),
        ):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f'plan.{name}={value!r}: expected {least} or more')
        if not isinstance(begin, (int, float)) or not 1 / rounds <= begin <= 1:
            raise ConfigError(f'plan.begin={begin!r}: expected a part of the rounds')
        if rule not in ('greater', 'less'):
            raise ConfigError(f"plan.rule={rule!r}: expected 'greater' or 'less'")
        if len(self.augmentations) > 1 or len(self.domains) < 2:
            raise ConfigError(
                'plan: expected one augmentation, and two clients or more'
            )
        for client, overrides in self.domains.items():
            for loader in ('train_dataloader', 'val_dataloader'):
                if not any(key.startswith(loader) for key in overrides):
                    raise ConfigError(
                        f'plan.clients.{client}: no override of {loader}; each client '
                        'has training and validation data of its own'
                    )
        self.lr, self.seed = lr, seed
        self.rounds, self.epochs, self.fine_tuning = rounds, epochs, fine_tuning
        self.begin, self.monitor, self.rule = begin, monitor, rule

    def trials(self) -> list[Trial]:
        """Returns the probe, the rounds of all clients, the last global model.

        What clients add on their own comes last.
        """
        assert self.probe is not None
        trials = [self._probe(self.probe)]
        last: list[str] = []
        for number in range(1, self.rounds + 1):
            clients = [str(name) for name in self.domains]
            in_round = [self._local(number, name, last) for name in clients]
            last = [trial.id for trial in in_round]
            trials += in_round
        trials.append(self._global(last))
        if self.fine_tuning:
            trials += [self._fine_tuned(str(name)) for name in self.domains]
        return trials

    def _local(self, number: int, client: str, last: list[str]) -> Trial:
        own = f'round{number - 1}_{client}'
        hook = dict(
            type='FedSoupHook',
            monitor=self.monitor,
            rule=self.rule,
            patch=number > self.begin * self.rounds,
            previous=f'../{own}/best.pth' if last else None,
        )
        return Trial(
            id=f'round{number}_{client}',
            stage='client',
            epochs=self.epochs,
            hyper=dict(lr=self.lr, seed=self.seed, domain=client),
            parent=own if last else 'probe',
            others=tuple(other for other in last if other != own),
            start=dict(type='federated') if last else None,
            overrides={
                **common_overrides(self.epochs, self.seed + number, None),
                **self._common,
                **self.domains[client],
            },
            hooks=(hook,),
            yields='best'
            if number == self.rounds and not self.fine_tuning
            else 'nothing',
        )

    def _fine_tuned(self, client: str) -> Trial:
        hook = dict(
            type='FedSoupHook', monitor=self.monitor, rule=self.rule, patch=False
        )
        return Trial(
            id=f'fine_tuned_{client}',
            stage='client',
            epochs=self.fine_tuning,
            hyper=dict(lr=self.lr, seed=self.seed, domain=client),
            parent=f'round{self.rounds}_{client}',
            overrides={
                **common_overrides(self.fine_tuning, self.seed + self.rounds + 1, None),
                **self._common,
                **self.domains[client],
            },
            hooks=(hook,),
        )

    def _global(self, last: list[str]) -> Trial:
        """Trains nothing: it validates and writes what the server has in the end."""
        hyper = dict(lr=self.lr, seed=self.seed, domain='global')
        description = dict(stage='global', hyper=hyper, parent=last[0])
        average = dict(type='last', name='global', bn_samples=2000)
        return Trial(
            id='global',
            stage='global',
            epochs=0,
            hyper=hyper,
            parent=last[0],
            others=tuple(last[1:]),
            start=dict(type='federated'),
            overrides={**common_overrides(0, self.seed, None), **self._common},
            hooks=tuple(averaging([average], 'fedsoup', description)),
            yields='snapshots',
            validates='snapshots',
        )

    @property
    def _common(self) -> dict[str, Any]:
        rate = {'optim_wrapper.optimizer.lr': self.lr, 'param_scheduler': []}
        augmentation = self.augmentations[0]
        return rate if augmentation is None else {**rate, 'augmentation': augmentation}
