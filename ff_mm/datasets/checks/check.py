"""What must hold for all data sets of a run, looked at before any training."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS

from ff_mm.datasets.checks.bit_depth import note_sampled_bits
from ff_mm.datasets.checks.truth import (
    data_infos,
    hash_pixels,
    image_path,
    meta_of,
    says_cases,
    truth_of,
)
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.tables.table_labels import how_alike, join_alike, spelled_alike
from ff_mm.display.console import log
from ff_mm.errors import FFMMError
from ff_mm.plain import not_utf8

#: What to do about names that are not UTF-8.
RENAME = (
    'Rename them, all at once by: convmv -f latin1 -t utf8 -r --notest FOLDER; then '
    'make the tables anew that name them.'
)

_NOT_ASKED = (
    '{} has no get_data_info, so its cases are known by their numbers only, and nobody '
    'notices cases of train in other sets or data that have changed; derive it from '
    'mmengine.dataset.BaseDataset'
)


def check_datasets(
    configs: Mapping[str, dict], seen: Collection[str] = ()
) -> dict[str, BaseDataset]:
    """Builds all data sets of a run and checks that they go together.

    The classes must agree in number and order, where a data set names them. No image
    and no group (lesion, patient) of ``train`` may occur in any other data set. Images
    are compared by path and, between data sets of one class, by ``image_id``; groups
    between data sets of one class, as patient 1 of one hospital is not patient 1 of the
    next. Data sets without these fields are not compared: MMPretrain's
    ``CustomDataset`` has paths only, images that lie in memory have none.

    What is odd but may be meant is logged: the ``notes`` of a data set, and images of
    16 bits that do not use them.

    Args:
        configs: Name -> config of a data set as MMPretrain's registry takes it. The
            name ``train`` is special, all others are for evaluation.
        seen: Names of those that may have images in common with ``train``.

    Returns:
        Name -> data set, fully initialised.

    Raises:
        DatasetError: With every problem of every data set.
    """
    problems = Problems('data sets ' + ', '.join(configs))
    datasets = build_datasets(configs, problems)
    check_classes(datasets, problems)
    unseen = {name: each for name, each in datasets.items() if name not in seen}
    check_leaks(unseen, problems)
    problems.raise_if_any()
    notes = Problems('notes')
    add_notes(datasets, notes)
    steps = {name: loading_step(dataset) for name, dataset in datasets.items()}
    note_sampled_bits(datasets, steps, notes)
    for note in notes:
        log(f'note: {note}')
    return datasets


def describe(name: str, dataset: BaseDataset) -> str:
    """Says in one line how many images a data set has, and of which classes.

    Args:
        name: What to call it, e.g. ``'train'``.
        dataset: Any data set of MMPretrain's, single-label or multi-label.

    Returns:
        For example ``'val: 333 images, 3 classes (akiec 3, bcc 20, nv 310)'``; of
        more than 20 classes only the range of counts.
    """
    present = [present_classes(info) for info in data_infos(dataset)]
    classes = meta_of(dataset).get('classes') or ()
    counts = np.bincount(
        np.concatenate([np.empty(0, dtype=np.int64), *present]), minlength=len(classes)
    )
    names = classes or range(len(counts))
    shown = ', '.join(f'{n} {count}' for n, count in zip(names, counts, strict=False))
    if len(counts) > 20:
        shown = f'{counts.min()} to {counts.max()} images each'
    return f'{name}: {len(present)} images, {len(counts)} classes ({shown})'


def fingerprint(dataset: BaseDataset) -> str:
    """Identifies the cases of a data set, to tell whether two metrics are comparable.

    A case counts with its image (the path below ``data_root``, or the pixels if it lies
    in memory) and its truth. Neither the order of the cases nor the place of
    ``data_root`` matters. The bytes of image files are not read.

    Args:
        dataset: Any data set of MMPretrain's, or a wrapper of one.

    Returns:
        A SHA-256, 64 hexadecimal digits.
    """
    infos = list(data_infos(dataset))
    root = root_of(dataset, infos)
    cases = sorted(f'{_image(info, root)}\t{truth_of(info, root)}' for info in infos)
    return hashlib.sha256('\n'.join(cases).encode()).hexdigest()


class Identities(NamedTuple):
    """What tells the images and groups of a data set apart from another's."""

    groups: set
    ids: set
    paths: set


class Overlap(NamedTuple):
    """Images (by id, else by path) and groups that two data sets share, sorted."""

    images: list[str]
    groups: list[str]


def build_datasets(
    configs: Mapping[str, dict], problems: Problems
) -> dict[str, BaseDataset]:
    """Builds data sets; those that cannot be built are noted and left out."""
    datasets = {}
    # A mistake in a table is one mistake, however many splits are read from it.
    found: dict[str, list[str]] = defaultdict(list)
    for name, config in configs.items():
        try:
            dataset = DATASETS.build(config)
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
        except DatasetError as error:
            for problem in error.problems or (str(error),):
                found[f'{error.subject}: {problem}'].append(name)
        except FFMMError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            # An argument that does not exist, or a value that cannot be meant.
            text = error.args[0] if error.args else error
            found[f'{config.get("type")}: {text}'].append(name)
        except FileNotFoundError as error:
            problems.add(f'{name}: {error}. Check its data_root.')
        else:
            datasets[name] = dataset
    for problem, names in found.items():
        problems.add(f'{", ".join(names)}, {problem}')
    for name, dataset in datasets.items():
        problems.found(
            f'{name}: names that are not UTF-8',
            not_utf8(_names_in(dataset)),
            RENAME,
        )
    return datasets


def _names_in(dataset: BaseDataset) -> Iterator[str]:
    """Gives classes, and of each image the path, or else the id, and the group."""
    yield from map(str, meta_of(dataset).get('classes') or ())
    for info in data_infos(dataset):
        yield image_path(info) or str(info.get('image_id'))
        yield str(info.get('group'))


def add_notes(datasets: Mapping[str, BaseDataset], notes: Problems) -> None:
    """Adds what data sets have noted while they read, each note once."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, dataset in datasets.items():
        for inner in inner_datasets(dataset):
            for note in dict.fromkeys(getattr(inner, 'notes', ())):
                found[note].append(name)
            if not says_cases(inner):
                found[_NOT_ASKED.format(type(inner).__name__)].append(name)
    for note, names in found.items():
        notes.add(f'{", ".join(dict.fromkeys(names))}: {note}')


def check_classes(datasets: Mapping[str, BaseDataset], problems: Problems) -> None:
    """Notes when the classes differ, as in :func:`check_datasets`."""
    named = {n: tuple(meta_of(d).get('classes') or ()) for n, d in datasets.items()}
    named = {name: classes for name, classes in named.items() if classes}
    if len(set(named.values())) > 1:
        listed = '; '.join(f'{name}: {list(names)}' for name, names in named.items())
        problems.add(
            f'The classes differ in number or order: {listed}. A model has one '
            'numbering of classes, so give all data sets the same.'
        )


def check_leaks(
    datasets: Mapping[str, BaseDataset],
    problems: Problems,
    trained: str = 'train',
    remedy: str = 'Make the split anew, or correct its lists.',
) -> None:
    """Notes what train shares with the others, as in :func:`check_datasets`.

    Args:
        datasets: By name.
        problems: Takes the notes.
        trained: The name of the one that is trained on.
        remedy: What to do about images that are shared.
    """
    if trained not in datasets:
        return
    train = identities(datasets[trained])
    for name, dataset in datasets.items():
        if name == trained:
            continue
        others = identities(dataset)
        shared = overlap(train, others)
        problems.found(
            f'images of {trained} that are also in {name}',
            shared.images,
            remedy,
        )
        problems.found(
            f'groups (lesions, patients) of {trained} that are also in {name}',
            shared.groups,
            'Keep all images of one on the same side of the split.',
        )
        alike = _groups_alike(train, others)
        problems.found(
            f'groups (lesions, patients) of {trained} and {name} that differ only in '
            f'{how_alike(alike)}',
            map(join_alike, alike),
            'Write each in one way; where they are not the same patient or lesion, '
            'rename one.',
        )


def _groups_alike(first: Identities, second: Identities) -> list[list[str]]:
    """Gives the groups that the second has in another spelling than the first."""
    found = []
    kinds = {kind for kind, _ in first.groups} & {kind for kind, _ in second.groups}
    for kind in kinds:
        ours = {group for of, group in first.groups if of == kind}
        theirs = {group for of, group in second.groups if of == kind}
        found += [
            names
            for names in spelled_alike(sorted(ours | theirs))
            if ours.intersection(names) and not ours.issuperset(names)
        ]
    return found


def overlap(first: Identities, second: Identities) -> Overlap:
    """Compares two data sets, as in :func:`check_datasets`."""
    shared_ids = {image_id for _, image_id in first.ids & second.ids}
    shared_groups = {group for _, group in first.groups & second.groups}
    # A shared file mostly has the same id, too: one of the two says it.
    return Overlap(
        sorted(shared_ids or first.paths & second.paths), sorted(shared_groups)
    )


def identities(dataset: BaseDataset) -> Identities:
    """Gives what tells images and groups apart.

    Ids and groups hold within a class of data set, and within its ``origin`` where it
    has one: patient 1 of one hospital's table is not patient 1 of another's.
    """
    inner = inner_datasets(dataset)[0]
    kind = (type(inner).__name__, getattr(inner, 'origin', None))
    found = Identities(set(), set(), set())
    for info in data_infos(dataset):
        if info.get('group') is not None:
            found.groups.add((kind, str(info['group'])))
        if info.get('image_id') is not None:
            found.ids.add((kind, str(info['image_id'])))
        if path := image_path(info):
            found.paths.add(os.path.abspath(path))
    return found


def inner_datasets(dataset: Any) -> list[Any]:
    """Gives the data sets inside MMEngine's and MMPretrain's wrappers, in order.

    Args:
        dataset: A data set, or the config of one (a ``ConfigDict``).
    """
    if hasattr(dataset, 'datasets'):
        return [inner for each in dataset.datasets for inner in inner_datasets(each)]
    if hasattr(dataset, 'dataset'):
        return inner_datasets(dataset.dataset)
    return [dataset]


def loading_step(dataset: BaseDataset) -> Any:
    """Gives the loading step of a data set's pipeline."""
    pipeline = getattr(inner_datasets(dataset)[0], 'pipeline', None)
    for transform in getattr(pipeline, 'transforms', ()):
        if type(transform).__name__.startswith('Load'):
            return transform
    return LoadImageFromFile()


def root_of(dataset: BaseDataset, infos: list[dict]) -> str:
    """Gives the folder that paths are taken relative to."""
    paths = [os.path.abspath(path) for i in infos if (path := image_path(i))]
    if not paths:
        return ''
    common = os.path.commonpath({os.path.dirname(path) for path in paths})
    data_root = getattr(inner_datasets(dataset)[0], 'data_root', '')
    root = os.path.abspath(data_root)
    # data_root may be empty, or the images may lie elsewhere (an absolute prefix).
    inside = data_root and os.path.commonpath([root, common]) == root
    return root if inside else common


def _image(info: dict, root: str) -> str:
    if path := image_path(info):
        return PurePath(os.path.relpath(os.path.abspath(path), root)).as_posix()
    return hash_pixels(info['img']) if 'img' in info else ''


def present_classes(info: dict) -> np.ndarray:
    """Gives the class numbers of a case: one, or those with score 1, or listed ones."""
    if 'gt_label' in info:
        return np.atleast_1d(np.asarray(info['gt_label'], dtype=np.int64))
    return np.flatnonzero(np.asarray(info.get('gt_score', ())) == 1)
