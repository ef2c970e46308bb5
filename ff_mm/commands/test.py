"""Carries out ``ff-mm test``; ``ff_mm_commands/test.py`` has its options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope

from ff_mm import cli
from ff_mm.config import resolve
from ff_mm.display.tables import evaluation_table
from ff_mm.errors import ConfigError
from ff_mm.evaluation.fingerprint import check_class_numbering
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import refuse_irregular, write_json
from ff_mm.fusion.deployment import note_other_size
from ff_mm.fusion.ensemble_file import config_of_file
from ff_mm.merging import CheckpointError
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.finite import wrong_values
from ff_mm.merging.folds import has_seen_validation
from ff_mm.merging.state_dict import check_whole
from ff_mm.one_line import one_line
from ff_mm.tasks import scope_of
from ff_mm_commands.table import typed


def run(args: argparse.Namespace) -> None:
    """Evaluates and prints a table of metrics."""
    cfg = cli.read_config(args, args.config)
    if not cfg.get('val_dataloader'):
        raise ConfigError(
            f'{args.config}: names no data, as deploy.py of a soup: give the config '
            f'that made it; on images by themselves: {typed("predict")}'
        )
    if args.out:  # before the evaluation, which may take long
        refuse_irregular(os.path.realpath(args.out))
    checkpoint = CheckpointFile(args.checkpoint, args.entry, full=True)
    check_whole(args.checkpoint)
    state_dict = checkpoint.weights()
    if is_main_process():
        for note in checkpoint.notes:
            print(one_line(f'note: {args.checkpoint}: {note}'))
        if has_seen_validation(checkpoint.meta):
            note = 'it comes of folds and was trained on val: scores there are too good'
            print(one_line(f'note: {args.checkpoint}: {note}'))
    init_default_scope(scope_of(cfg))
    # The weights of an ensemble are of several models of the config.
    evaluator = ModelEvaluator(config_of_file(resolve(cfg), checkpoint.meta))
    evaluator.check(state_dict, args.checkpoint)
    if wrong := wrong_values(state_dict):
        raise CheckpointError(
            f'{args.checkpoint}: {wrong}: this model has diverged, or the file is '
            'damaged'
        )
    other = note_other_size(evaluator.cfg, checkpoint.meta)
    if other and is_main_process():
        print(one_line(f'note: {args.checkpoint}: {other}'))
    classes = evaluator.dataset_meta.get('classes')
    check_class_numbering(checkpoint, classes)
    evaluator.task.check(evaluator.cfg, dict(val=evaluator.val_dataset))
    evaluator.load(state_dict)
    results = evaluator.evaluate_all()
    evaluator.close()
    if is_main_process():
        evaluation_table(results, Path(args.checkpoint).name)
        if args.out:
            write_json(results, args.out)
