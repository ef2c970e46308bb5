"""What is to be measured on a GPU; see gpu_check.py."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import torch
from gpu_inputs import fusion, large, noisy_pool, plan
from measuring import ROOT, repeat, run_child, spread, this_checkout
from merge import make_checkpoints, ours
from mmengine.config import Config
from mmengine.registry import RUNNERS
from separate import Setting, Skipped, require
from stock import build_datasets
from train_epoch import Epoch, trial_runner

from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.files import read_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging.state_dict import read_checkpoint

RECIPE = ROOT / 'configs' / '_base_' / 'gpu.py'
# Bytes by which memory may grow from the sixth candidate to the last.
_FLAT = 64e6


def training(setting: Setting) -> dict[str, Any]:
    """Images a second, and how busy the device is, with and without the recipe."""
    repetitions = 1 if setting.small else 2
    recipe = Config.fromfile(RECIPE).to_dict()
    return {
        name: _epochs(setting, name, options, repetitions)
        for name, options in (('as shipped', {}), ('recipe', recipe))
    }


def _epochs(
    setting: Setting, name: str, options: dict[str, Any], repetitions: int
) -> dict[str, Any]:
    cfg = large(setting, repetitions + 1)
    datasets = build_datasets(cfg)
    epoch = Epoch(trial_runner(cfg, options, datasets, setting.folder / name))
    epoch()  # warms up
    with _busy(setting) as busy:
        runs = repeat(epoch, repetitions)
    images = len(datasets['train'])
    return dict(
        images_per_second=spread(images / run.seconds for run in runs),
        waits_for_data=spread(run.value / run.seconds for run in runs),
        busy=round(mean(busy), 3) if busy else None,
        workers=epoch.runner.train_dataloader.num_workers,
        peak_gb=_peak_gb(setting),
    )


@contextmanager
def _busy(setting: Setting) -> Iterator[list[float]]:
    """Collects the share of time in which a kernel ran, ten times a second."""
    shares: list[float] = []
    if setting.device == 'cpu':
        yield shares
        return
    number = f'GPU-{torch.cuda.get_device_properties(0).uuid}'
    command = ['nvidia-smi', '--query-gpu=utilization.gpu', '-lms', '100', '-i', number]
    command += ['--format=csv,noheader,nounits']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
        try:
            yield shares
        finally:
            sampler.terminate()
            said, _ = sampler.communicate()
    shares += [int(line) / 100 for line in said.split() if line.isdigit()]


def _peak_gb(setting: Setting) -> float | None:
    if setting.device == 'cpu':
        return None
    return round(torch.cuda.max_memory_allocated() / 1e9, 2)


def selection(setting: Setting) -> dict[str, Any]:
    """A greedy soup of 48: what a candidate costs, and memory that stays as it is."""
    count = 6 if setting.small else 48
    cfg = fusion(setting, 'selection', 'greedy', noisy_pool(setting, count))
    seconds: dict[str, list[float]] = dict(making=[], passing=[])
    held: list[float] = []
    make = _timed(setting, ModelEvaluator.load_from, seconds['making'])
    score = _timed(setting, ModelEvaluator.score, seconds['passing'], held)
    began = time.perf_counter()
    with (
        patch.object(ModelEvaluator, 'load_from', make),
        patch.object(ModelEvaluator, 'score', score),
        FusionSession() as session,
    ):
        report = RUNNERS.build(cfg).run(session)
    taken = time.perf_counter() - began
    images = report['evaluations']['images']['val']
    early, late = held[min(5, len(held) - 1)], held[-1]
    require(
        late - early < _FLAT,
        f'memory grows from {early / 1e6:.0f} to {late / 1e6:.0f} MB over '
        f'{len(held)} candidates',
    )
    return dict(
        seconds=taken,
        candidates=len(held),
        images=images,
        images_per_second_of_passes=images / sum(seconds['passing']),
        seconds_of_a_candidate={name: spread(each) for name, each in seconds.items()},
        memory_mb=[round(each / 1e6, 1) for each in (early, late)],
        peak_gb=_peak_gb(setting),
    )


def _timed(
    setting: Setting,
    work: Callable[..., Any],
    seconds: list[float],
    held: list[float] | None = None,
) -> Any:
    @wraps(work)
    def timed(*args: Any, **kwargs: Any) -> Any:
        _wait(setting)
        began = time.perf_counter()
        found = work(*args, **kwargs)
        _wait(setting)
        seconds.append(time.perf_counter() - began)
        if held is not None:
            held.append(_held(setting))
        return found

    return timed


def _wait(setting: Setting) -> None:
    if setting.device != 'cpu':
        torch.cuda.synchronize()


def _held(setting: Setting) -> float:
    """Bytes in use: of the device, or of this process."""
    if setting.device != 'cpu':
        return torch.cuda.memory_allocated()
    resident = Path('/proc/self/statm').read_text().split()[1]
    return 4096.0 * int(resident)


def merging(setting: Setting) -> dict[str, Any]:
    """The uniform mean of ResNet-50: as it is computed, and added on the device."""
    count = 2 if setting.small else 16
    files = make_checkpoints('resnet50', setting.folder / 'pool', count, True)
    on_device = partial(_mean_on, setting, files)
    expected, found = ours(files), on_device()
    worst = max(
        float((found[key].cpu() - value).abs().max())
        for key, value in expected.items()
        if value.is_floating_point()
    )
    require(worst < 1e-5, f'the mean on the device is {worst:.1e} from the other')
    repetitions = 1 if setting.small else 3
    return dict(
        count=count,
        seconds=spread(run.seconds for run in repeat(lambda: ours(files), repetitions)),
        seconds_on_device=spread(run.seconds for run in repeat(on_device, repetitions)),
    )


def _mean_on(setting: Setting, files: list[Path]) -> dict[str, torch.Tensor]:
    sums: dict[str, torch.Tensor] = {}
    for file in files:
        for key, value in read_checkpoint(file)['state_dict'].items():
            if value.is_floating_point():
                here = value.to(setting.device).double()
                sums[key] = sums[key].add_(here) if key in sums else here
    means = {key: (value / len(files)).float() for key, value in sums.items()}
    _wait(setting)
    return means


def sharing(setting: Setting) -> dict[str, Any]:
    """Whole commands: four small bases one after another, and at the same time."""
    if setting.small:
        raise Skipped('there is no device to share')
    rates, seconds = [1e-3, 8e-4, 6e-4, 4e-4], {}
    for number in (1, 4):
        cfg = plan(setting, f'{number} at once', plan__lrs=rates, plan__fission=None)
        cfg.plan.base.epochs = 6
        cfg.dump(setting.folder / 'fgg.py')
        command = [sys.executable, str(ROOT / 'tools' / 'train.py'), 'fgg.py']
        command += ['--trials-per-device', str(number)]
        child = run_child(command, env=this_checkout(OMP_NUM_THREADS='1'))
        each = f'{number} on each device'
        require(number == 1 or each in child.output, child.output)
        manifest = read_json(Path(cfg.work_dir) / 'ingredients.json')
        found = len(manifest['ingredients'])
        require(found == len(rates), f'{found} ingredients, expected {len(rates)}')
        seconds[number] = child.seconds
    return dict(trials=len(rates), seconds=seconds)


def profile(setting: Setting) -> dict[str, Any]:
    """Of an epoch with the recipe: share of time in kernels, and which take longest."""
    if setting.device == 'cpu':
        raise Skipped('kernels are those of a GPU')
    cfg = large(setting, 2)
    recipe = Config.fromfile(RECIPE).to_dict()
    runner = trial_runner(cfg, recipe, build_datasets(cfg), setting.folder / 'profile')
    epoch = Epoch(runner)
    epoch()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as p:
        (run,) = repeat(epoch, 1)
        _wait(setting)
    spent = {e.key[:80]: e.self_device_time_total / 1e6 for e in p.key_averages()}
    longest = sorted(spent, key=lambda name: -spent[name])[:10]
    return dict(
        seconds=run.seconds,
        in_kernels=sum(spent.values()) / run.seconds,
        longest={name: spent[name] for name in longest},
    )
