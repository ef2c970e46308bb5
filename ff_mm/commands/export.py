"""Carries out ``ff-mm export``; ``ff_mm_commands/export.py`` has its options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from ff_mm.commands.predict import read_model
from ff_mm.datasets.errors import DatasetError
from ff_mm.display.console import make_console, say
from ff_mm.errors import ConfigError
from ff_mm.exporting.agreement import Agreement, compare, random_images
from ff_mm.exporting.card import About
from ff_mm.exporting.hub_folder import push, write_hub_folder
from ff_mm.exporting.measurement import Measurement, as_reported, measure
from ff_mm.exporting.onnx_file import ONNX_FILE, OnnxModel, write_onnx
from ff_mm.exporting.safetensors_folder import write_folder
from ff_mm.files import check_own_folder, read_json, write_json
from ff_mm.inference.measuring import MeasuredModel, data_config, measured
from ff_mm.inference.predictor import Predictor
from ff_mm.inference.trained_model import TrainedModel, find_model, load_model
from ff_mm.records import PLAIN, RecordError, Table
from ff_mm_commands.export import FORMATS, UNKNOWN

AGREEMENT_FILE = 'agreement.json'
_REPORT = Table(val=PLAIN, test=PLAIN, ood=PLAIN)


@dataclass(frozen=True)
class _Job:
    """What all formats are given."""

    model: TrainedModel
    found: MeasuredModel | None
    args: argparse.Namespace
    notify: Callable[[str], None]

    def agreement(self, one: Callable, other: Callable) -> Agreement:
        """Compares on validation, or on made-up images."""
        images: Iterable[Tensor]
        if self.found is None:
            images, of = random_images(self.size), 'made-up images'
        else:
            images, of = self.found.images('val'), 'validation images'
        several = self.model.is_multilabel
        args = self.args
        return compare(one, other, images, of, args.tolerance, args.images, several)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of images as they come out of the pipeline."""
        return Predictor(self.model).loader.size()


def run(args: argparse.Namespace) -> None:
    """Exports, and says what agrees."""
    _check(args)
    model, rest = read_model(args)
    if rest:
        raise ConfigError(f'{rest[0]}: one model at a time')
    out = Path(args.out) if args.out else model.files.folder
    check_own_folder(out)
    notify = partial(say, console=make_console())
    with ExitStack() as stack:
        job = _Job(model, _found(stack, model, args, notify), args, notify)
        for name in dict.fromkeys(args.to):
            _WRITERS[name](job, out / name)
    if args.push_to_hub:
        where = push(out / 'huggingface', args.push_to_hub, args.public)
        notify(f'sent to {where}')


def _check(args: argparse.Namespace) -> None:
    """Refuses what would be found out only after the work."""
    if args.push_to_hub and 'huggingface' not in args.to:
        raise ConfigError('--push-to-hub sends the folder of --to huggingface')
    if args.push_to_hub and args.licence == UNKNOWN:
        raise ConfigError(
            '--push-to-hub: say by --licence what others may do with the weights, such '
            'as cc-by-nc-4.0'
        )
    if not args.tolerance > 0:
        raise ConfigError(f'--tolerance {args.tolerance}: expected a number above 0')
    if args.images is not None and args.images < 1:
        raise ConfigError(f'--images {args.images}: expected 1 or more')


def _found(
    stack: ExitStack,
    model: TrainedModel,
    args: argparse.Namespace,
    notify: Callable[[str], None],
) -> MeasuredModel | None:
    """The sets of the config, where there are any."""
    cfg = data_config(model, args.config, args.cfg_options)
    if cfg is None:
        return None
    try:
        return stack.enter_context(measured(model, cfg, notify))
    except DatasetError as error:
        if args.config:  # which was named for its data
            raise
        notify(f'note: without data: {" ".join(str(error).split())}')
        return None


def _safetensors(job: _Job, folder: Path) -> None:
    files = write_folder(job.model, folder)
    _agrees(job, folder)
    _say_files(job, files)


def _agrees(job: _Job, folder: Path) -> None:
    """Reads a folder again, and compares what it says."""
    again = load_model(find_model([str(folder)])[0])
    own = Predictor(job.model).scores
    agreement = job.agreement(own, Predictor(again).scores)
    job.notify(agreement.line(folder.name))
    agreement.check(str(folder))


def _onnx(job: _Job, folder: Path) -> None:
    unchecked = folder / f'.unchecked_{ONNX_FILE}'
    try:
        write_onnx(job.model, unchecked, job.size)
        other = OnnxModel(unchecked).probabilities
        agreement = job.agreement(Predictor(job.model).scores, other)
        job.notify(agreement.line('onnx'))
        agreement.check(str(folder / ONNX_FILE))
        unchecked.replace(folder / ONNX_FILE)
    finally:
        unchecked.unlink(missing_ok=True)
    write_json(agreement.describe(), folder / AGREEMENT_FILE)
    _say_files(job, [folder / ONNX_FILE])


def _huggingface(job: _Job, folder: Path) -> None:
    args = job.args
    about = About(
        title=args.title or job.model.files.folder.resolve().name,
        licence=args.licence,
        data=args.data,
        intended_use=args.intended_use,
        limits=args.limits,
        dataset=args.dataset,
        tags=args.tags,
    )
    if about.licence == UNKNOWN:
        job.notify('note: the card says that the licence is unknown: give --licence')
    found = Measurement() if job.found is None else measure(job.found)
    if job.found is None:
        found = _reported(job)
    files = write_hub_folder(job.model, folder, about, found)
    _agrees(job, folder)
    _say_files(job, files)


def _reported(job: _Job) -> Measurement:
    """What the report beside the soup says."""
    path = job.model.files.folder / 'report.json'
    if not path.is_file():
        job.notify('note: the card has no figures: give --config with the data')
        return Measurement()
    try:
        report = _REPORT.read(read_json(path))
    except (RecordError, ValueError) as error:
        raise ConfigError(f'{path}: is no report of a soup: {error}') from error
    job.notify(f'note: figures are those of {path}, without intervals: give --config')
    return as_reported(report)


def _say_files(job: _Job, files: Iterable[Path]) -> None:
    for file in files:
        job.notify(f'{file} ({file.stat().st_size / 1e6:.1f} MB)')


_WRITERS = dict(zip(FORMATS, (_safetensors, _onnx, _huggingface), strict=True))
