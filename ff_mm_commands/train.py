"""Fission: trains what a config says, a plan or a single run.

python tools/train.py configs/fgg_ham10000_resnet50.py

The options are those of mmpretrain's tools/train.py, and plain mmpretrain configs
train as they do there. A plan goes on where it stopped; give the same command again.
"""

from __future__ import annotations

import argparse

from ff_mm_commands.folders import version
from ff_mm_commands.options import add_common_options, add_dry_run
from ff_mm_commands.trackers import add_tracker_option


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--recipe',
        metavar='FILE',
        help='a config file whose values take the place of those of the config, as '
        'configs/_base_/gpu.py for what keeps a GPU busy',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='single runs: resume from a checkpoint, or from the latest one in the '
        'work directory; plans always go on where they stopped',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision training: bfloat16 on a GPU that has it (since '
        'Ampere), else float16, also with optim_wrapper.dtype=float16; on a CPU '
        'bfloat16, which pays only where the CPU has instructions for it (lscpu: '
        'avx512_bf16, amx_bf16)',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='single runs: do not validate'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='single runs: scale the learning rate with the actual batch size, from '
        'the one in auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--trial',
        nargs='+',
        metavar='ID',
        help='plans: only these trials, by id or number; several such commands, of a '
        'job array for example, may work at one plan at the same time',
    )
    parser.add_argument(
        '--trials-per-device',
        type=int,
        metavar='N',
        help='plans: train so many trials at the same time on one device, in as many '
        'processes that share the images; for trials too small to keep it busy',
    )
    parser.add_argument(
        '--list-trials',
        action='store_true',
        help='plans: show number and id of each trial, and what it starts from',
    )
    add_dry_run(
        parser,
        'plans: train nothing, but show trials, epochs, images, disk and time, as '
        'estimated from some seconds (%(const)g) of each kind of trial',
    )
    parser.add_argument(
        '--retry-failed',
        action='store_true',
        help='plans: also try trials again that have failed',
    )
    parser.add_argument(
        '--no-pin-memory', action='store_true', help='do not pin memory'
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start data workers anew in every epoch',
    )
    parser.add_argument('--version', action='version', version=f'ff_mm {version()}')
    add_common_options(parser)
    add_tracker_option(parser)
