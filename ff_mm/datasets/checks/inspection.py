"""What the data sets of a config consist of, and what is wrong with them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from rich.console import Console

from ff_mm.config_loaders import ood_dataloaders
from ff_mm.datasets.checks.bit_depth import (
    names_by_bits,
    note_sampled_bits,
    note_unused_bits,
)
from ff_mm.datasets.checks.check import (
    Overlap,
    add_notes,
    build_datasets,
    check_classes,
    check_leaks,
    data_infos,
    identities,
    inner_datasets,
    loading_step,
    overlap,
)
from ff_mm.datasets.checks.duplicates import (
    Entry,
    compare_duplicates,
    find_conflicts,
    find_duplicates,
    find_repetitions,
)
from ff_mm.datasets.checks.head_check import find_wrong_head
from ff_mm.datasets.checks.image_facts import ImageFacts, Loader, look_at
from ff_mm.datasets.checks.label_counts import LabelCounts
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.dicom import USE_LOAD_DICOM
from ff_mm.datasets.files.workers import track
from ff_mm.datasets.masks.check_masks import inspect_masks, with_classes
from ff_mm.datasets.masks.masked import has_masks
from ff_mm.errors import ConfigError

FORMAT = 1


@dataclass
class SetFacts:
    """What one data set consists of.

    Attributes:
        labels: Its images by class or label.
        groups: Images of each group (patient, lesion); empty if none is known.
        files: What is known of each image, by the key of :class:`Entry`.
    """

    labels: LabelCounts
    groups: Counter
    files: dict[str, ImageFacts]

    @property
    def sizes(self) -> np.ndarray:
        """Shorter and longer sides in pixels, of shape (images, 2)."""
        sizes = [facts.size for facts in self.files.values() if facts.size]
        return np.array(sizes, dtype=int).reshape(-1, 2)

    @property
    def channels(self) -> Counter:
        """Number of images by what they consist of: grey, RGB, RGBA, ..."""
        kinds = (facts.channels for facts in self.files.values())
        return Counter(kind for kind in kinds if kind)


@dataclass
class Inspection:
    """Everything that was found.

    Attributes:
        sets: Name -> what the data set consists of; without those that could not be
            read.
        duplicates: Lists of images that have the same content.
        overlaps: Pairs of data sets -> what they share.
        problems: What has to be mended, in sentences.
        notes: What is good to know.
        compared_by: ``'pixels'`` or ``'bytes'``, by which content was compared.
        seconds: What reading the images took.
    """

    sets: dict[str, SetFacts]
    duplicates: list[list[Entry]]
    overlaps: dict[tuple[str, str], Overlap]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    compared_by: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Gives everything as plain values, with all names in full, for JSON."""
        return dict(
            format=FORMAT,
            problems=list(self.problems),
            notes=list(self.notes),
            sets={name: _set_as_dict(facts) for name, facts in self.sets.items()},
            compared_by=self.compared_by,
            duplicates=[
                [dict(set=entry.set_name, image=entry.key) for entry in entries]
                for entries in self.duplicates
            ],
            overlaps=[
                dict(sets=list(pair), images=shared.images, groups=shared.groups)
                for pair, shared in self.overlaps.items()
            ],
            seconds=round(self.seconds, 3),
        )


def dataset_configs(cfg: Config) -> dict[str, dict]:
    """Gives the data sets that a config names.

    Args:
        cfg: A resolved config of any kind.

    Returns:
        ``train``, ``val``, ``test`` and every OOD set by its name, as far as they are
        there.

    Raises:
        ConfigError: There is none.
    """
    loaders = {n: cfg.get(f'{n}_dataloader') for n in ('train', 'val', 'test')}
    loaders.update(ood_dataloaders(cfg))
    configs = {name: loader['dataset'] for name, loader in loaders.items() if loader}
    if not configs:
        raise ConfigError(
            f'{cfg.filename} names no data set: expected train_dataloader, '
            'val_dataloader or test_dataloader'
        )
    return configs


def inspect_datasets(
    configs: Mapping[str, dict],
    workers: int = 1,
    decode: bool = True,
    console: Console | None = None,
    head: Mapping[str, Any] | None = None,
) -> Inspection:
    """Looks at every image of every data set.

    Problems are: what :func:`ff_mm.datasets.check_datasets` refuses; images that are
    missing or that the pipeline's loading step cannot read; labels that do not
    exist; images of train that are in another data set under another name; and equal
    images with different labels. What evaluation sets share is only noted.

    Contents are compared by the decoded pixels, so that a copy in another lossless
    format counts as one; if images are not decoded, by the bytes of the file.

    Args:
        configs: Name -> config of a data set, see :func:`dataset_configs`.
        workers: Number of processes that read.
        decode: Whether to decode the images.
        console: Where to show the progress; standard output by default.
        head: The config of the model's head, which has to fit; None: there is none.

    Returns:
        What was found. Images themselves are not kept.

    Raises:
        WorkerError: A worker process has died.
    """
    problems, notes = Problems('problems'), Problems('notes')
    datasets = build_datasets(configs, problems)
    add_notes(datasets, notes)
    check_classes(datasets, problems)
    find_wrong_head(head or {}, datasets, problems)
    check_leaks(datasets, problems)
    inspect_masks(datasets, problems, notes)
    entries, sets = read_all_labels(datasets)
    began = time.perf_counter()
    facts = look_at_images(datasets, entries, workers, decode, console)
    seconds = time.perf_counter() - began
    for entry in entries:
        sets[entry.set_name].files[entry.key] = facts[entry.key]
    find_bad_images(sets, problems)
    _find_bad_labels(sets, problems)
    # Of masks it is said above.
    classed = {name: s for name, s in sets.items() if not has_masks(datasets[name])}
    _find_empty_classes(classed, notes)
    _find_unused_bits(datasets, sets, decode, notes)
    labels = {name: found.labels for name, found in sets.items()}
    duplicates = find_duplicates(entries, facts)
    compare_duplicates(duplicates, labels, problems, notes)
    find_conflicts(entries, facts, labels, problems)
    find_repetitions(entries, notes)
    return Inspection(
        sets,
        duplicates,
        _find_overlaps(datasets, notes),
        tuple(problems),
        tuple(notes),
        'pixels' if decode else 'bytes',
        seconds,
    )


def read_all_labels(
    datasets: Mapping[str, BaseDataset],
) -> tuple[list[Entry], dict[str, SetFacts]]:
    """Gives the images of all data sets, and of each set its labels and groups."""
    entries, sets = [], {}
    for name, dataset in datasets.items():
        listed, sets[name] = _read_labels(name, dataset)
        entries += listed
    return entries, sets


def _read_labels(set_name: str, dataset: BaseDataset) -> tuple[list[Entry], SetFacts]:
    labels = LabelCounts(dataset.metainfo.get('classes') or ())
    groups: Counter[str] = Counter()
    entries: list[Entry] = []
    distinct: dict[tuple[float, ...], tuple[float, ...]] = {}
    root = os.path.abspath(getattr(inner_datasets(dataset)[0], 'data_root', '') or '')
    for index, info in enumerate(with_classes(dataset, data_infos(dataset))):
        key = _key(set_name, index, info)
        name = str(info.get('image_id') or _below(key, root))
        found = labels.add(info, name)
        if info.get('group') is not None:
            groups[str(info['group'])] += 1
        scores = None if found is None else tuple(found.tolist())
        if scores is not None:  # the same few tuples for all images
            scores = distinct.setdefault(scores, scores)
        entries.append(Entry(set_name, key, name, scores))
    return entries, SetFacts(labels, groups, {})


def _key(set_name: str, index: int, info: Mapping[str, Any]) -> str:
    path = info.get('img_path')
    return os.path.abspath(path) if path else f'{set_name}[{index}]'


def _below(path: str, root: str) -> str:
    inside = os.path.isabs(path) and path.startswith(root + os.sep)
    return os.path.relpath(path, root) if inside else path


def look_at_images(
    datasets: Mapping[str, BaseDataset],
    entries: Sequence[Entry],
    workers: int,
    decode: bool,
    console: Console | None,
) -> dict[str, ImageFacts]:
    """Looks at each image once, in however many data sets it is."""
    keys = list(dict.fromkeys(entry.key for entry in entries))
    loaders = {name: loading_step(dataset) for name, dataset in datasets.items()}
    look = partial(_look_at, loaders=loaders, decode=decode)
    title = 'decoding' if decode else 'reading'
    tasks = _tasks(datasets)
    return dict(
        zip(keys, track(look, tasks, len(keys), workers, title, console), strict=True)
    )


def _tasks(datasets: Mapping[str, BaseDataset]) -> Iterator[tuple[str, dict]]:
    seen = set()
    for name, dataset in datasets.items():
        for index, info in enumerate(with_classes(dataset, data_infos(dataset))):
            key = _key(name, index, info)
            if key not in seen:
                seen.add(key)
                yield name, info


def _look_at(
    task: tuple[str, dict], loaders: Mapping[str, Loader], decode: bool
) -> ImageFacts:
    set_name, info = task
    return look_at(info, loaders[set_name], decode)


def find_bad_images(sets: Mapping[str, SetFacts], problems: Problems) -> None:
    """Notes images that are missing, or that cannot be read."""
    for name, found in sets.items():
        errors = {key: facts.error for key, facts in found.files.items() if facts.error}
        problems.found(
            f'images of {name} without a file',
            [key for key, facts in found.files.items() if facts.missing],
            'Put the files there, or leave the rows out of the table.',
        )
        problems.found(
            f'images of {name} that cannot be read',
            [f'{k}: {error}' for k, error in errors.items() if error != USE_LOAD_DICOM],
            'Download them again, or leave the rows out of the table.',
        )
        problems.found(
            f'DICOM images of {name} that the loading step does not read',
            [key for key, error in errors.items() if error == USE_LOAD_DICOM],
            f'{USE_LOAD_DICOM}.',
        )


def _find_unused_bits(
    datasets: Mapping[str, BaseDataset],
    sets: Mapping[str, SetFacts],
    decode: bool,
    notes: Problems,
) -> None:
    """Compares what images of 16 bits use of them with what the loading step takes."""
    steps = {name: loading_step(dataset) for name, dataset in datasets.items()}
    if not decode:
        note_sampled_bits(datasets, steps, notes)
        return
    for bits, names in names_by_bits(steps).items():
        files = {k: f for name in names for k, f in sets[name].files.items()}
        peaks = [facts.peak for facts in files.values() if facts.peak is not None]
        note_unused_bits(', '.join(names), peaks, bits, notes)


def _find_bad_labels(sets: Mapping[str, SetFacts], problems: Problems) -> None:
    for name, found in sets.items():
        labels = found.labels
        expected = f'a class from 0 to {len(labels.names) - 1}'
        if labels.multi_label:
            expected = f'{len(labels.names)} labels, each from 0 to 1, or -1: missing'
        problems.found(
            f'images of {name} with an impossible label',
            labels.invalid,
            f'Expected is {expected}.',
        )


def _find_empty_classes(sets: Mapping[str, SetFacts], notes: Problems) -> None:
    for name, found in sets.items():
        labels = found.labels
        if labels.unlabelled == labels.images:
            continue
        if labels.multi_label:
            lacking = {
                'labels without a positive': labels.positive == 0,
                'labels without a negative': labels.negative == 0,
            }
        else:
            lacking = {'classes without an image': labels.positive == 0}
        for what, where in lacking.items():
            notes.found(
                f'{what} in {name}',
                [n for n, empty in zip(labels.names, where, strict=True) if empty],
                'Scores of them alone are not defined there.',
            )


def _find_overlaps(
    datasets: Mapping[str, BaseDataset], notes: Problems
) -> dict[tuple[str, str], Overlap]:
    """Compares each two data sets; what train shares has been noted before."""
    known = {name: identities(dataset) for name, dataset in datasets.items()}
    overlaps = {}
    for first, second in combinations(datasets, 2):
        shared = overlap(known[first], known[second])
        overlaps[first, second] = shared
        if 'train' not in (first, second):
            both = f'both {first} and {second}'
            remedy = 'The results on the two are not independent.'
            notes.found(f'images in {both}', shared.images, remedy)
            notes.found(f'groups (lesions, patients) in {both}', shared.groups, remedy)
    return overlaps


def _set_as_dict(facts: SetFacts) -> dict[str, Any]:
    labels = facts.labels
    classes = {
        name: dict(positive=positive, negative=negative, missing=missing)
        if labels.multi_label
        else round(positive)
        for name, positive, negative, missing in zip(
            labels.names,
            labels.positive.tolist(),
            labels.negative.tolist(),
            labels.missing.tolist(),
            strict=True,
        )
    }
    files = facts.files
    return dict(
        images=labels.images,
        classes=classes,
        unlabelled=labels.unlabelled,
        invalid=labels.invalid,
        groups=len(facts.groups),
        sides=_side_range(facts.sizes),
        channels=dict(facts.channels),
        missing=[key for key, found in files.items() if found.missing],
        unreadable={key: found.error for key, found in files.items() if found.error},
    )


def _side_range(sizes: np.ndarray) -> dict[str, dict[str, float]] | None:
    """Gives the range of the shorter and of the longer sides."""
    if not len(sizes):
        return None
    found = np.percentile(sizes, (0, 50, 100), axis=0).T.tolist()
    short, long = (dict(zip(('min', 'median', 'max'), f, strict=True)) for f in found)
    return dict(short=short, long=long)
