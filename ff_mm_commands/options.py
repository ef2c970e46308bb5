"""Options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ff_mm_commands.trackers import add_tracker_option


class ReadOptions(argparse.Action):
    """Collects ``key=value`` words, with the values as texts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Adds the words to those before."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for word in values or ():
            key, equals, text = word.partition('=')
            if not equals or not key:
                parser.error(
                    f'{option_string} {word!r}: expected key=value; put what has '
                    'spaces into quotes, such as "data_root=my data"'
                )
            options[key] = text
        setattr(namespace, self.dest, options)


def add_config_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Adds ``--cfg-options``.

    Args:
        parser: Of the command.
        example: Words that the help gives as an example.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        action=ReadOptions,
        help=f'override settings of the config, such as {example}',
    )


def add_common_options(
    parser: argparse.ArgumentParser, several_processes: bool = True
) -> None:
    """Adds the options that mmpretrain's tools have in common.

    Args:
        parser: Of the command.
        several_processes: Whether several processes can carry it out together.
    """
    parser.add_argument('--work-dir', help='folder for logs, models and reports')
    add_config_options(
        parser, 'plan.base.epochs=10 image_size=96 plan.lrs="[1e-3,1e-4]"'
    )
    parser.add_argument(
        '--device',
        choices=['cpu'],
        help='compute on the CPU, though there is a GPU; without it a GPU that is '
        'there and cannot be used is an error',
    )
    if not several_processes:
        parser.set_defaults(launcher='none', local_rank=0)
        return
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    # torch.distributed.launch passes --local-rank, torchrun sets the variable.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def add_dry_run(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--dry-run``, None without it.

    Args:
        parser: Of the command.
        what: What is done and shown in place of the work.
    """
    parser.add_argument(
        '--dry-run',
        nargs='?',
        type=float,
        const=20.0,
        metavar='SECONDS',
        help=f'{what}; nothing is left behind',
    )


def add_fusion_dry_run(parser: argparse.ArgumentParser) -> None:
    """Adds ``--dry-run`` to a command that makes models of a pool.

    Args:
        parser: Of the command.
    """
    add_dry_run(
        parser,
        'make nothing, but check all that can be beforehand, and show passes over '
        'which images, disk and time, as estimated from at most some seconds '
        '(%(const)g) of a pass',
    )


def add_analysis_options(parser: argparse.ArgumentParser, runner_type: str) -> None:
    """Adds the options of an analysis of a fusion config.

    Args:
        parser: Of the command.
        runner_type: The registered name of a
            :class:`~ff_mm.analysis.pool_analysis.PoolAnalysis`.
    """
    parser.add_argument('config', help='config file of a fusion, or its name')
    parser.add_argument(
        '--soup', help="the soup of the option --soup of soup, instead of the config's"
    )
    add_common_options(parser)
    add_tracker_option(parser)
    parser.set_defaults(runner_type=runner_type)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of what loads a model and measures it.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        '--config', help='config with the data, such as that of the soup'
    )
    parser.add_argument(
        '--entry', help='which weights of the checkpoint, such as state_dict_ema'
    )
    add_config_options(parser, 'data_root=data/ham10000')
    parser.add_argument('--device', choices=['cpu'], help='compute on the CPU')
