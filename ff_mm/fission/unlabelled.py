"""Training images without labels, of a plan: checks, cost, and where they go."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from rich.console import Console

from ff_mm.config import resolve
from ff_mm.config_loaders import ood_dataloaders
from ff_mm.datasets.checks.check import (
    add_notes,
    build_datasets,
    identities,
    overlap,
)
from ff_mm.datasets.checks.unlabelled_images import (
    NAME,
    check_unlabelled_contents,
    check_unlabelled_leaks,
)
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.sharing import keep_dataset
from ff_mm.datasets.unlabelled import PartlyLabelled, set_unlabelled
from ff_mm.errors import ConfigError
from ff_mm.fission.class_balance import KEY, Sampling, read_class_balance
from ff_mm.fission.trial import ADDED, Trial
from ff_mm.tasks import scope_of

_SUBJECT = 'plan.unlabelled'


class Unlabelled:
    """A plan's training set with images without labels, or without, as it is.

    Args:
        partly: The training set with them; None: there are none.
        datasets: Those of the config: ``train``, and those that are evaluated.
    """

    def __init__(
        self, partly: PartlyLabelled | None, datasets: Mapping[str, BaseDataset]
    ) -> None:
        self._partly = partly
        self._datasets = dict(datasets)

    @property
    def trained_on(self) -> dict[str, Any]:
        """The data sets, of which ``train`` is with them."""
        more = {} if self._partly is None else dict(train=self._partly)
        return {**self._datasets, **more}

    @property
    def on_disk(self) -> dict[str, Any]:
        """The data sets, and beside them what has no labels."""
        more = {} if self._partly is None else {NAME: self._partly.unlabelled}
        return {**self._datasets, **more}

    def lines(self, epochs: int) -> Iterator[str]:
        """Says what there is, and what it costs.

        Args:
            epochs: Of all trials together.
        """
        if self._partly is None:
            return
        labelled, every = len(self._datasets['train']), len(self._partly)
        yield (
            f'{NAME}: {every - labelled} images beside {labelled} with labels, so an '
            f'epoch is of {every} and takes {every / labelled:.3g} times as long; '
            f'{epochs * every} images to train on in all {epochs} epochs'
        )
        notes = Problems('notes')
        unlabelled = self._partly.unlabelled
        add_notes({NAME: unlabelled}, notes)
        known = identities(self._datasets['train'])
        if shared := overlap(known, identities(unlabelled)).images:
            notes.add(
                f'{NAME}: {len(shared)} images have labels, too, and count as both'
            )
        for note in notes:
            yield f'note: {note}'

    def check_contents(self, cfg: Config, console: Console) -> None:
        """Reads every image once, and compares it with those that are evaluated.

        Args:
            cfg: The generation config, whose out-of-distribution sets count, too, as
                far as they are there.
            console: Where to show the progress.

        Raises:
            DatasetError: Images that cannot be read, or that are evaluated.
        """
        if self._partly is None:
            return
        loaders = ood_dataloaders(cfg) if cfg.get('test_dataloader') else {}
        ood = {f'ood/{name}': each['dataset'] for name, each in loaders.items()}
        # What is not there says so when it is evaluated.
        judged = {**_judged(self._datasets), **build_datasets(ood, Problems('ood'))}
        check_unlabelled_leaks(self._partly.unlabelled, judged)
        check_unlabelled_contents(self._partly.unlabelled, judged, console)


def check_unlabelled(
    cfg: Config,
    trials: Sequence[Trial],
    datasets: Mapping[str, BaseDataset],
    notify: Callable[[str], None],
) -> Unlabelled:
    """Finds a plan's images without labels, and says what they cost.

    Args:
        cfg: The generation config.
        trials: Those of the plan.
        datasets: Those of the config: ``train``, and those that are evaluated.
        notify: Takes lines for the user.

    Raises:
        DatasetError: There is no such folder, no image in it, or one that is evaluated.
        ConfigError: They do not go with ``class_balance``.
    """
    added = next((t.overrides[ADDED] for t in trials if ADDED in t.overrides), None)
    if added is None:
        return Unlabelled(None, datasets)
    found = find_unlabelled(resolve(cfg), added, datasets)
    for line in found.lines(sum(trial.epochs for trial in trials)):
        notify(line)
    return found


def find_unlabelled(
    cfg: Config, added: Mapping[str, Any], datasets: Mapping[str, BaseDataset]
) -> Unlabelled:
    """Finds images without labels, and compares them with those that are evaluated.

    Args:
        cfg: The generation config, resolved.
        added: The config of their data set.
        datasets: Those of the config: ``train``, and those that are evaluated.

    Raises:
        DatasetError: There is no such folder, no image in it, or one that is evaluated.
        ConfigError: They do not go with ``class_balance``.
    """
    if isinstance(read_class_balance(cfg.get(KEY)), Sampling):
        raise ConfigError(
            f"{KEY}='sampling' draws by the class of an image, and those of {_SUBJECT} "
            f"have none: take {KEY}='loss', or leave one of the two out"
        )
    init_default_scope(scope_of(cfg))
    keep_dataset(cfg.train_dataloader.dataset, datasets['train'])
    with_them = copy.deepcopy(cfg)
    set_unlabelled(with_them, added)
    both = with_them.train_dataloader.dataset.datasets
    problems = Problems(_SUBJECT)
    built = build_datasets({NAME: both[1]}, problems)
    problems.raise_if_any()
    check_unlabelled_leaks(built[NAME], _judged(datasets))
    keep_dataset(both[1], built[NAME])
    return Unlabelled(PartlyLabelled(both), datasets)


def _judged(datasets: Mapping[str, BaseDataset]) -> dict[str, BaseDataset]:
    return {name: each for name, each in datasets.items() if name != 'train'}
