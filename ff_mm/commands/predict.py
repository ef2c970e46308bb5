"""Carries out ``ff-mm predict``; ``ff_mm_commands/predict.py`` has its options."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ff_mm.display.console import make_console, say
from ff_mm.display.csv_file import csv_text
from ff_mm.display.numbers import shown
from ff_mm.display.progress import CountProgress
from ff_mm.engine.device import use_device
from ff_mm.errors import ConfigError
from ff_mm.files import atomic_write, check_folder, refuse_irregular
from ff_mm.inference.attribution import METHODS, Attribution, write_picture
from ff_mm.inference.images import find_images
from ff_mm.inference.measuring import compare_tta, data_config, measured
from ff_mm.inference.page import Page, opened
from ff_mm.inference.predictor import Prediction, Predictor
from ff_mm.inference.test_time import VIEWS
from ff_mm.inference.thresholds import Thresholds
from ff_mm.inference.trained_model import TrainedModel, find_model, load_model
from ff_mm.one_line import one_line
from ff_mm.option_values import option_texts

#: Exit status where some images could not be read, and all others were predicted.
SOME_UNREADABLE = 3
# Images with a line of their own; a wrong folder is a line for each of a table.
_SAID = 20


def read_model(args: argparse.Namespace) -> tuple[TrainedModel, list[str]]:
    """Loads the model of a command line.

    Args:
        args: Options of :func:`ff_mm_commands.options.add_model_options`, and
            ``paths``.

    Returns:
        The model, and what follows it in ``paths``.
    """
    use_device(args.device)
    args.cfg_options = option_texts(args.cfg_options)
    files, rest = find_model(args.paths)
    options = None if files.is_folder else args.cfg_options
    if files.is_folder and args.cfg_options and not args.config:
        raise ConfigError(
            '--cfg-options are of a config: the folder of a model says all by itself; '
            'leave them out, or give --config'
        )
    model = load_model(files, options, args.entry)
    for note in model.notes:
        print(one_line(f'note: {files.weights}: {note}'))
    return model, rest


def run(args: argparse.Namespace) -> None:
    """Predicts, and writes a csv file; exits if some images could not be read."""
    for view in args.tta:
        if view not in VIEWS:
            raise ConfigError(f'--tta {view}: there are {", ".join(VIEWS)}')
    if args.attribution and args.attribution not in METHODS:
        raise ConfigError(
            f'--attribution {args.attribution}: there are {", ".join(METHODS)}'
        )
    refuse_irregular(os.path.realpath(args.out))
    maps = Path(args.maps or f'{os.path.splitext(args.out)[0]}_maps')
    check_folder(maps)
    console = make_console()
    model, given = read_model(args)
    thresholds = _thresholds(args, model)
    attribution = Attribution(model, args.attribution) if args.attribution else None
    if args.page:
        _open_page(args, Page(model, thresholds, attribution), model, given)
        return
    if not given:
        raise ConfigError('no images: give files, folders, or a csv after the model')
    images = find_images(given, args.column, args.root, lambda n: say(n, console))
    if args.tta:
        _measure_tta(args, model, lambda line: say(line, console))
    rows, problems = [], 0
    with CountProgress('predictions', len(images), console) as progress:
        for number, prediction in enumerate(_predictions(model, args, images)):
            rows.append(_row(prediction, thresholds))
            if prediction.scores is None:
                problems += 1
                if problems <= _SAID:
                    _complain(prediction)
            elif attribution is not None:
                file = maps / f'{number + 1:05d}_{_plain_stem(prediction)}.png'
                _draw(attribution, prediction, model, file)
            progress.advance()
    _write(args.out, rows, model.classes)
    say(f'{len(images) - problems} images predicted: {args.out}', console)
    if attribution is not None and problems < len(images):
        say(f'maps by {attribution.method}: {maps}', console)
    if problems:
        unread = f'{problems} of {len(images)} images could not be read'
        why = f'the column error of {args.out} says why'
        print(one_line(f'error: {unread}; {why}'), file=sys.stderr)
        sys.exit(SOME_UNREADABLE)


def _thresholds(args: argparse.Namespace, model: TrainedModel) -> Thresholds:
    if not args.thresholds:
        return Thresholds(model.classes, model.is_multilabel)
    return Thresholds.read(args.thresholds, model.classes, model.is_multilabel)


def _open_page(
    args: argparse.Namespace, page: Page, model: TrainedModel, given: Sequence[str]
) -> None:
    if given or args.tta:
        raise ConfigError('--page shows what is dropped on it: leave out images, --tta')
    title = model.files.folder.resolve().name
    with opened(page, title, args.port) as blocks:
        where = f'{blocks.local_url} (this machine only)'
        print(one_line(f'{title}: {where}; Ctrl-C ends it'), flush=True)
        blocks.block_thread()


def _predictions(
    model: TrainedModel, args: argparse.Namespace, images: Sequence[str]
) -> Iterator[Prediction]:
    return Predictor(model, args.tta).predict(images)


def _complain(prediction: Prediction) -> None:
    image = prediction.image
    print(one_line(f'{image.path}: {image.problem}'), file=sys.stderr)


def _row(prediction: Prediction, thresholds: Thresholds) -> dict[str, Any]:
    row: dict[str, Any] = dict(image=prediction.image.path)
    if prediction.scores is None:
        return dict(row, error=prediction.image.problem)
    # As many digits as tell one float32 from the next.
    row |= {
        f'p_{name}': str(score)
        for name, score in zip(thresholds.classes, prediction.scores, strict=True)
    }
    return dict(row, predicted='|'.join(thresholds.said(prediction.scores)))


def _write(path: str, rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    columns = ['image', *(f'p_{name}' for name in classes), 'predicted', 'error']
    with atomic_write(path, 'w') as file:
        file.write(csv_text(columns, rows))


def _plain_stem(prediction: Prediction) -> str:
    """A name that any file system takes."""
    return re.sub(r'[^\w.-]', '_', Path(prediction.image.path).stem)[:100]


def _draw(
    attribution: Attribution, prediction: Prediction, model: TrainedModel, file: Path
) -> None:
    assert prediction.scores is not None and prediction.image.inputs is not None
    target = int(prediction.scores.argmax())
    inputs = prediction.image.inputs
    title = f'{model.classes[target]}: {prediction.scores[target]:.3f}'
    write_picture(file, inputs, attribution.map(inputs, target), title)


def _measure_tta(args: argparse.Namespace, model: TrainedModel, notify: Any) -> None:
    """Says on validation what test-time augmentation does; refuses what is no better.

    Raises:
        ConfigError: It makes the metric that selects no better.
    """
    cfg = data_config(model, args.config, args.cfg_options)
    if cfg is None:
        notify(
            'note: --tta was not measured: give --config with the validation set, '
            'or nobody knows whether it helps'
        )
        return
    with measured(model, cfg, notify) as found:
        before, after = compare_tta(found, args.tta)
    names = [name for name in before if name in after and '/' not in name]
    for name in names:
        if isinstance(before[name], float):
            notify(
                f'validation, {name}: {shown(before[name])}, with --tta '
                f'{shown(float(after[name]))}'
            )
    selection = cfg.get('selection')
    if not selection:
        return
    metric, rule = selection['metric'], selection['rule']
    gain = after[metric] - before[metric]
    if (gain if rule == 'greater' else -gain) <= 0:
        raise ConfigError(
            f'--tta {" ".join(args.tta)}: {metric} on validation gets no better by it '
            f'({before[metric]:.4f}, with it {after[metric]:.4f}): leave it out'
        )
