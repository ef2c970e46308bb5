"""Eight minutes on one GPU: what must be the same there, and how fast it is.

    tools/benchmarks/gpu_check.sh
    tools/benchmarks/gpu_check.sh --device cpu

Each check has a process and a time limit of its own, so that one that fails, or hangs,
hides no other; what is left of the eight minutes is a limit of all. The json is written
after each. Images, networks and pools are made up, nothing is downloaded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_measure
import gpu_verify
import torch
from measuring import machine, show, write
from separate import Setting, run_check, start_method

import ff_mm  # noqa: F401  # so that forks need not import it

# In the order in which they run, with their limits in seconds.
CHECKS: dict[str, tuple[Callable[[Setting], Any], float]] = {
    'device': (gpu_verify.device, 30),
    'decisions': (gpu_verify.decisions, 60),
    'resume': (gpu_verify.resume, 60),
    'training': (gpu_measure.training, 100),
    'selection': (gpu_measure.selection, 60),
    'grad_scaler': (gpu_verify.grad_scaler, 40),
    'ddp': (gpu_verify.ddp, 50),
    'ddp_gloo': (gpu_verify.ddp_gloo, 50),
    'merging': (gpu_measure.merging, 40),
    'sharing': (gpu_measure.sharing, 80),
    'compiled': (gpu_verify.compiled, 80),
    'profile': (gpu_measure.profile, 40),
}
# Limits are those of a GPU; a CPU that is busy may take far longer for less.
_CPU = 1800.0


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    parser.add_argument('--minutes', type=float, default=8, help='for all; on a GPU')
    parser.add_argument('--only', nargs='+', choices=CHECKS, help='these alone')
    parser.add_argument('--out', default='gpu_check.json', help='json to write')
    return parser.parse_args()


def main() -> None:
    """Checks, prints and writes."""
    args = parse_args()
    out = Path(args.out).resolve()
    began = time.monotonic()
    method = start_method()
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('error: torch sees no GPU; --device cpu does all in small')
    report: dict[str, Any] = dict(
        machine=machine(), device=args.device, start_method=method, checks={}
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for check in args.only or CHECKS:
            setting = Setting(args.device, folder / check, folder / 'shared', method)
            left = 60 * args.minutes - (time.monotonic() - began)
            found = _run(check, setting, _CPU if setting.small else left)
            report['checks'][check] = found
            print(f'{check}: {found["status"]}', found.get('reason', ''), flush=True)
            report['seconds'] = round(time.monotonic() - began, 1)
            write(report, out)
    _end(report)


def _run(check: str, setting: Setting, left: float) -> dict[str, Any]:
    work, limit = CHECKS[check]
    limit = left if setting.small else min(limit, left)
    if limit < 1:
        return dict(status='not begun', reason='no time was left', seconds=0.0)
    return run_check(work, setting, limit)


def _end(report: dict[str, Any]) -> None:
    checks = report['checks']
    rows = [[name, each['status'], each['seconds']] for name, each in checks.items()]
    show(f'{report["seconds"]} seconds', ['check', 'status', 'seconds'], rows)
    wrong = {
        n: e for n, e in checks.items() if e['status'] not in ('passed', 'skipped')
    }
    for name, each in wrong.items():
        print(f'{name}: {each["status"]}: {each.get("reason", "")}')
        if said := each.get('output'):
            print('    ' + said.strip().replace('\n', '\n    '))
    if wrong:
        sys.exit(f'failed: {", ".join(wrong)}')
    print('nothing has failed')


if __name__ == '__main__':
    main()
