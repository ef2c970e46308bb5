"""Cross-validation: training and validation images together, cut into folds."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from ff_mm.datasets.checks.check import fingerprint, present_classes
from ff_mm.datasets.checks.truth import data_infos
from ff_mm.datasets.errors import DatasetError, check_choice
from ff_mm.datasets.sharing import build_dataset
from ff_mm.datasets.splits.split_file import case_name
from ff_mm.datasets.splits.splitting import cut_into_folds
from ff_mm.errors import ConfigError
from ff_mm.plain import first_few

PARTS = ('train', 'val', 'all')
_LOADERS = ('train', 'val')
# How often another case is tried in place of one that the pipeline leaves out.
_TRIES = 1000


def read_folds(value: Any, key: str) -> dict[str, int]:
    """Reads how many folds there are, and the seed of their cut.

    Args:
        value: A number, or ``dict(number=5, seed=0)``.
        key: Where it stands in the config.

    Raises:
        ConfigError: It is neither.
    """
    given = dict(value) if isinstance(value, Mapping) else dict(number=value)
    folds = {'seed': 0, **given}
    whole = all(type(each) is int for each in folds.values())
    if set(folds) != {'number', 'seed'} or not whole or folds['number'] < 2:
        raise ConfigError(
            f'{key}={value!r}: expected how many folds, 2 or more, such as 5, or '
            'dict(number=5, seed=0)'
        )
    return dict(number=folds['number'], seed=folds['seed'])


@DATASETS.register_module()
class FoldDataset(Dataset):
    """Some folds of the cases of several data sets, mostly those of train and val.

    The cases are cut by group (patient, lesion) and stratified by label. A case is in
    the same fold wherever the same data sets are cut by the same number and seed, so
    what is validated on was not trained on.

    Any data set of ff_mm, MMPretrain or MMEngine can be cut, wrappers of some can not.

    Args:
        datasets: Configs of the data sets, each with the pipeline that is meant here.
        number: How many folds there are.
        index: The fold that validates, from 0.
        part: ``'train'``: all folds but that one; ``'val'``: that one; ``'all'``: all,
            whatever ``index`` says.
        seed: Of the cut.

    Attributes:
        datasets: The data sets.
        folds: The fold of each case of these, one after the other.

    Raises:
        ValueError: An argument is none of the values above.
        DatasetError: There are fewer groups than folds.
    """

    def __init__(
        self,
        datasets: Sequence[Mapping[str, Any]],
        number: int,
        index: int | None = None,
        part: str = 'train',
        seed: int = 0,
    ) -> None:
        check_choice('part', part, PARTS)
        read_folds(dict(number=number, seed=seed), 'folds')
        if part != 'all':
            check_choice('index', index, range(number))
        self.datasets = [_built(config) for config in datasets]
        self.part = part
        self.folds = _cut(self.datasets, number, seed)
        chosen = np.full(len(self.folds), part == 'all')
        if part != 'all':
            chosen = (self.folds == index) == (part == 'val')
        self._members = np.flatnonzero(chosen)
        self._ends = np.cumsum([len(dataset) for dataset in self.datasets])

    def full_init(self) -> None:
        """Does nothing: the data sets have been read."""

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information, that of the first data set."""
        return self.datasets[0].metainfo

    def __len__(self) -> int:
        return len(self._members)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Gives what is known of a case."""
        dataset, inner = self._place(idx)
        return dataset.get_data_info(inner)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Gives the classes of a case, as wrappers that balance them ask for."""
        dataset, inner = self._place(idx)
        return dataset.get_cat_ids(inner)

    def __getitem__(self, idx: int) -> Any:
        """Gives a case through the pipeline; another one if that leaves it out.

        MMEngine's data sets would take any other case of theirs, of the wrong fold.
        """
        for _ in range(_TRIES):
            dataset, inner = self._place(idx)
            if (data := dataset.prepare_data(inner)) is not None:
                return data
            if self.part == 'val':
                break
            idx = int(np.random.randint(len(self)))
        raise DatasetError(f'folds: the pipeline leaves out case {idx} of {self.part}')

    def _place(self, idx: int) -> tuple[BaseDataset, int]:
        case = int(self._members[idx])
        number = int(np.searchsorted(self._ends, case, side='right'))
        dataset = self.datasets[number]
        return dataset, case - int(self._ends[number]) + len(dataset)


def _built(config: Mapping[str, Any]) -> BaseDataset:
    dataset = build_dataset(config)
    if not isinstance(dataset, BaseDataset):
        raise ConfigError(
            f'folds: {type(dataset).__name__} cannot be cut into folds; expected data '
            'sets that read cases, with what repeats or balances them around all'
        )
    return dataset


def _cut(datasets: Sequence[BaseDataset], number: int, seed: int) -> np.ndarray:
    infos = [(dataset, info) for dataset in datasets for info in data_infos(dataset)]
    labels = tuple(_label(info) for _, info in infos)
    names = [
        # A number cannot be equal to the name of a group.
        case if info.get('group') is None else _group(dataset, info['group'])
        for case, (dataset, info) in enumerate(infos)
    ]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    groups = tuple(numbers[name] for name in names)
    alone = len(numbers) == len(names)
    try:
        return cut_into_folds(labels, None if alone else groups, number, seed)
    except ValueError as error:
        raise DatasetError(
            'folds',
            [
                f'{number} folds cannot be cut: {error} (of patients, lesions). Use '
                'fewer folds.'
            ],
        ) from None


def _group(dataset: BaseDataset, group: Any) -> Hashable:
    """Patient 1 of one hospital's table is not patient 1 of another's."""
    return type(dataset).__name__, getattr(dataset, 'origin', None), str(group)


def _label(info: Mapping[str, Any]) -> Hashable:
    """Gives what a case is stratified by: its class, or all of its labels."""
    label = info.get('gt_label', info.get('gt_score'))
    return tuple(np.atleast_1d(np.asarray(label)).tolist())


def set_folds(cfg: Config, folds: Mapping[str, int], index: int | None) -> None:
    """Lets a config train on all folds of train and val but one, and validate on that.

    Wrappers, such as one that balances classes, stay around the folds.

    Args:
        cfg: Changed in place; references are resolved.
        folds: ``number`` and ``seed``.
        index: The fold that validates; None: all train, and validation stays as it is,
            of images that have been seen.

    Raises:
        ConfigError: A loader is missing.
    """
    if index is None:
        every = fold_config(cfg, 'train', folds, None, 'all')
        cfg.train_dataloader.dataset = every
        return
    cut = {
        loader: fold_config(cfg, loader, folds, index, loader) for loader in _LOADERS
    }
    for loader, dataset in cut.items():
        cfg[f'{loader}_dataloader'].dataset = dataset


def fold_config(
    cfg: Config, loader: str, folds: Mapping[str, int], index: int | None, part: str
) -> dict[str, Any]:
    """Returns the config of a data set of folds.

    Args:
        cfg: The config; references are resolved.
        loader: ``'train'`` or ``'val'``: whose pipeline and wrappers count.
        folds: ``number`` and ``seed``.
        index: The fold that validates.
        part: As :class:`FoldDataset` takes it.

    Raises:
        ConfigError: A loader is missing.
    """
    cut = dict(
        type=FoldDataset.__name__,
        datasets=[source for _, source in _all_sources(cfg, loader)],
        **folds,
        index=index,
        part=part,
    )
    return _wrapped(cfg[f'{loader}_dataloader'].dataset.to_dict(), cut)


def _all_sources(cfg: Config, loader: str) -> list[tuple[str, dict[str, Any]]]:
    """Which loader each data set is from, and its config with the pipeline of one."""
    for name in _LOADERS:
        if not cfg.get(f'{name}_dataloader'):
            raise ConfigError(f'folds: {name}_dataloader is missing, and is to be cut')
    datasets = {n: cfg[f'{n}_dataloader'].dataset.to_dict() for n in _LOADERS}
    pipeline = _sources(datasets[loader])[0].get('pipeline', [])
    return [
        (name, dict(source, pipeline=copy.deepcopy(pipeline)))
        for name, dataset in datasets.items()
        for source in _sources(dataset)
    ]


def _sources(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Configs of the data sets that a wrapper is of."""
    if 'dataset' in dataset:
        return _sources(dataset['dataset'])
    inner = dataset.get('datasets', [])
    for each in inner:
        if 'dataset' in each:
            raise ConfigError(
                f'folds: {each.get("type")} stands among others in '
                f'{dataset.get("type")}; put it around all of them, or leave it out'
            )
    return [each for one in inner for each in _sources(one)] or [dict(dataset)]


def _wrapped(dataset: Mapping[str, Any], cut: dict[str, Any]) -> dict[str, Any]:
    if 'dataset' in dataset:
        return dict(dataset, dataset=_wrapped(dataset['dataset'], cut))
    return cut


def is_cut(dataset: Mapping[str, Any], part: str | None = None) -> bool:
    """Says whether the config of a data set, or of a wrapper, is of folds.

    Args:
        dataset: The config.
        part: Which of them; None: any.
    """
    if 'dataset' in dataset:
        return is_cut(dataset['dataset'], part)
    of_folds = dataset.get('type') == FoldDataset.__name__
    return of_folds and part in (None, dataset.get('part'))


@dataclass(frozen=True)
class FoldFacts:
    """What is to be known of the folds of a config.

    Attributes:
        folds: ``number`` and ``seed``.
        sizes: How many cases there are in each.
        cases: What identifies these cases, of each fold.
        fold_of: The fold of each case, by loader and name.
        notes: What may surprise, in sentences.
    """

    folds: Mapping[str, int]
    sizes: tuple[int, ...]
    cases: tuple[str, ...]
    fold_of: Mapping[tuple[str, str], int]
    notes: tuple[str, ...]

    @property
    def images(self) -> int:
        """How many cases there are."""
        return sum(self.sizes)

    def described(self) -> dict[str, Any]:
        """Returns it as a manifest has it."""
        return dict(self.folds, cases=list(self.cases))


def fold_facts(cfg: Config, folds: Mapping[str, int]) -> FoldFacts:
    """Cuts the cases of a config, and says what came of it.

    Args:
        cfg: The config, before it was cut; references are resolved.
        folds: ``number`` and ``seed``.

    Raises:
        DatasetError: They cannot be cut.
        ConfigError: A loader is missing, or its data set cannot be cut.
    """
    sources = _all_sources(cfg, 'val')
    configs = [source for _, source in sources]
    parts = [
        FoldDataset(configs, **folds, index=index, part='val')
        for index in range(folds['number'])
    ]
    return FoldFacts(
        folds,
        tuple(map(len, parts)),
        tuple(map(fingerprint, parts)),
        _fold_of([name for name, _ in sources], parts[0]),
        tuple(_rare(parts, folds['number'])),
    )


def _fold_of(
    loaders: Sequence[str], dataset: FoldDataset
) -> dict[tuple[str, str], int]:
    names = [
        (loader, case_name(info, index, each))
        for loader, each in zip(loaders, dataset.datasets, strict=True)
        for index, info in enumerate(data_infos(each))
    ]
    return dict(zip(names, dataset.folds.tolist(), strict=True))


def _rare(parts: Sequence[FoldDataset], number: int) -> Iterator[str]:
    """Says which classes are not in every fold."""
    classes = parts[0].metainfo.get('classes') or ()
    infos = (info for part in parts for info in data_infos(part))
    counts = Counter(label for info in infos for label in present_classes(info))
    rare = [
        f'{classes[label] if label < len(classes) else label} {count}'
        for label, count in sorted(counts.items())
        if count < number
    ]
    if rare:
        yield (
            f'classes with fewer cases than the {number} folds: {first_few(rare, 5)}; '
            'some folds validate without them, all folds together with them'
        )
