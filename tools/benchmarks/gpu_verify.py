"""What must be the same on a GPU as on a CPU; see gpu_check.py."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from gpu_inputs import fusion, noisy_pool, plan
from measuring import ROOT, run_child, this_checkout
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, RUNNERS
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from separate import Setting, Skipped, apart, require, start

from ff_mm.config import resolve
from ff_mm.engine.hooks.resume_state_hook import find_state
from ff_mm.files import read_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging.state_dict import read_checkpoint

# How far losses may be apart in float32. TF32 moves probabilities by 1e-3.
_FLOAT32 = 1e-4
# How far a compiled network's outputs may be from those of the same one.
_COMPILED = 1e-3
_BASE, _FISSION = 'base_lr0.001', 'fission_lr0.001'


def device(setting: Setting) -> dict[str, Any]:
    """Says what there is."""
    if setting.device == 'cpu':
        return dict(name='CPU', threads=torch.get_num_threads())
    known = torch.cuda.get_device_properties(0)
    product = torch.ones(64, 64, device='cuda') @ torch.ones(64, 64, device='cuda')
    require(float(product.sum()) == 64.0**3, 'the device cannot multiply')
    return dict(
        name=known.name,
        memory_gb=round(known.total_memory / 2**30, 1),
        capability=f'{known.major}.{known.minor}',
        cuda=torch.version.cuda,
        devices=torch.cuda.device_count(),
        bfloat16=torch.cuda.is_bf16_supported(),
        cores=len(os.sched_getaffinity(0)),
    )


def decisions(setting: Setting) -> dict[str, Any]:
    """The same soups of a small pool, by scores that are the same in float32."""
    files = noisy_pool(setting, 4 if setting.small else 8)
    reports = {
        name: apart(setting, _fuse, setting, name, files, device=of)
        for name, of in (('on the CPU', 'cpu'), ('on the device', None))
    }
    on_cpu, here = reports.values()
    differences = {}
    for soup, (chosen, losses) in on_cpu.items():
        others, other_losses = here[soup]
        require(
            chosen == others,
            f'{soup}: {chosen} on the CPU, {others} here; losses {losses} and '
            f'{other_losses}',
        )
        differences[soup] = max(
            abs(one - two) / abs(one)
            for one, two in zip(losses, other_losses, strict=True)
        )
    worst = max(differences.values())
    require(
        worst <= _FLOAT32,
        f'losses are {worst:.1e} apart, expected {_FLOAT32}: products are not float32',
    )
    return dict(chosen=on_cpu, relative_differences=differences)


def _fuse(setting: Setting, name: str, files: str) -> dict[str, Any]:
    """Makes soups; what each chose, and all losses in the order of the passes."""
    found = {}
    with FusionSession() as session:
        for soup in ('greedy', 'uniform'):
            cfg = fusion(setting, name, soup, files)
            # Which batch a pass ends after is not the same with batches of all sizes.
            cfg.evaluation.early_exit = False
            report = RUNNERS.build(cfg).run(session)
            chosen = {each['name']: each['weight'] for each in report['ingredients']}
            found[soup] = chosen, _losses(Path(cfg.work_dir))
    return found


def _losses(work_dir: Path) -> list[float]:
    lines = (work_dir / 'evaluations.jsonl').read_text().split('\n')
    found = [json.loads(line).get('value') for line in lines if line]
    return [value['loss'] for value in found if isinstance(value, dict)]


def resume(setting: Setting) -> dict[str, Any]:
    """A plan that is killed and goes on ends as one that is not."""
    options = dict(plan__base__epochs=4, custom_hooks=[dict(type='Repeatable')])
    unbroken = plan(setting, 'unbroken', **options)
    broken = plan(setting, 'broken', **options)
    expected = apart(setting, _train, unbroken)
    process, _ = start(setting, _train, broken)
    folder = Path(broken.work_dir) / 'trials' / _BASE
    while process.is_alive() and not _has_begun(folder):
        time.sleep(0.002)
    require(process.is_alive(), 'the plan ended before it could be killed')
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    state = find_state(folder)
    found = apart(setting, _train, broken)
    require(list(found) == list(expected), f'{list(found)}, expected {list(expected)}')
    same = all(found[name]['sha256'] == expected[name]['sha256'] for name in expected)
    apart_by = {
        name: abs(found[name]['loss'] - each['loss']) / abs(each['loss'])
        for name, each in expected.items()
    }
    worst = max(apart_by.values())
    require(same or setting.device != 'cpu', 'other files than without the kill')
    require(worst < 0.05, f'losses are {worst:.1%} from those without the kill')
    return dict(
        killed_at=None if state is None else state.stem,
        bit_for_bit=same,
        relative_differences=apart_by,
    )


def _has_begun(folder: Path) -> bool:
    """Whether a trial has a state after an epoch."""
    state = find_state(folder) if folder.is_dir() else None
    return state is not None and state.stem != 'state_epoch_0'


@HOOKS.register_module()
class Repeatable(Hook):
    """Has cuDNN take algorithms that give the same result again."""

    def before_run(self, runner: Runner) -> None:
        """Before anything is computed."""
        torch.backends.cudnn.deterministic = True


def _train(cfg: Config) -> dict[str, Any]:
    """Carries out a plan; file and validation loss of each ingredient."""
    manifest = RUNNERS.build(copy.deepcopy(cfg)).train()
    return {
        each['name']: dict(sha256=each['sha256'], loss=each['metrics']['loss'])
        for each in manifest['ingredients']
    }


@HOOKS.register_module()
class ScaleWitness(Hook):
    """Notes the scale of the loss at the start of each epoch."""

    seen: ClassVar[dict[str, list[float]]] = {}

    def before_train_epoch(self, runner: Runner) -> None:
        """Before the first step."""
        scale = runner.optim_wrapper.loss_scaler.get_scale()
        self.seen.setdefault(Path(runner.work_dir).name, []).append(scale)


def grad_scaler(setting: Setting) -> dict[str, Any]:
    """float16: the scale of the loss is found, and handed on to the fission."""
    if setting.device == 'cpu':
        raise Skipped('float16 and its scaler are for GPUs')
    begun = 2.0**30
    scaler = dict(type='AmpOptimWrapper', loss_scale=dict(init_scale=begun))
    witness = [dict(type='ScaleWitness')]
    cfg = plan(setting, 'float16', optim_wrapper=scaler, custom_hooks=witness)
    losses = {name: each['loss'] for name, each in _train(cfg).items()}
    path = Path(cfg.work_dir) / 'trials' / _BASE / 'best.pth'
    found = float(read_checkpoint(path)['optimizer']['loss_scaler']['scale'])
    first = ScaleWitness.seen[_FISSION][0]
    require(found < begun, f'the scale has stayed at {begun:g}')
    require(first == found, f'fission begins with {first:g}, the base has {found:g}')
    return dict(scales=ScaleWitness.seen, losses=losses)


def compiled(setting: Setting) -> dict[str, Any]:
    """A compiled network computes with the weights that it has been given last."""
    cfg = resolve(plan(setting, 'compiled'))
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False
    model = MODELS.build(cfg.model).to(setting.device).eval()
    images = torch.randn(8, 3, 64, 64, device=setting.device)
    fast = torch.compile(model, backend='aot_eager' if setting.small else 'inductor')
    differences = []
    with torch.inference_mode():
        for _ in range(4):
            for parameter in model.parameters():
                parameter.copy_(parameter + 0.1 * torch.randn_like(parameter))
            here, expected = fast(images)[0], model(images)[0]
            scale = expected.abs().max()
            differences.append(float((here - expected).abs().max() / scale))
            require(
                differences[-1] < _COMPILED,
                f'outputs are {differences[-1]:.1e} from those of the same weights',
            )
    if setting.small:  # which takes a minute to compile
        return dict(relative_differences=differences)
    cfg = plan(setting, 'trained', plan__base__epochs=1, plan__fission=None)
    cfg.compile = True
    return dict(relative_differences=differences, trained=_train(cfg))


def ddp(setting: Setting) -> dict[str, Any]:
    """Data parallel through torchrun: NCCL with one process on the device."""
    return _data_parallel(setting, 2 if setting.small else 1)


def ddp_gloo(setting: Setting) -> dict[str, Any]:
    """Two processes on one device, which NCCL does not allow and Gloo does."""
    if setting.small:
        raise Skipped('without a GPU the check above is this one')
    return _data_parallel(setting, 2, 'env_cfg.dist_cfg.backend=gloo')


def _data_parallel(setting: Setting, size: int, *options: str) -> dict[str, Any]:
    cfg = plan(setting, 'parallel', plan__fission=None)
    cfg.dump(setting.folder / 'fgg.py')
    command = [sys.executable, str(ROOT / 'tools' / 'torchrun.py'), '--standalone']
    command += ['--local-addr=127.0.0.1', f'--nproc-per-node={size}']
    command += [str(ROOT / 'tools' / 'train.py'), 'fgg.py', '--launcher', 'pytorch']
    command += ['--cfg-options', 'parallel=data', *options]
    child = run_child(command, env=this_checkout(OMP_NUM_THREADS='1'))
    require(f'data parallel: {size} process' in child.output, child.output)
    manifest = read_json(Path(cfg.work_dir) / 'ingredients.json')
    require(manifest['complete'], 'the plan is not complete')
    losses = [each['metrics']['loss'] for each in manifest['ingredients']]
    return dict(processes=size, seconds=child.seconds, losses=losses)
