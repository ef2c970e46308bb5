"""What a comparison, or a fusion of fusions, will take, before anything is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ff_mm.comparison.comparison_runner import ComparisonRunner
from ff_mm.comparison.fuse.fuse_runner import FuseRunner
from ff_mm.comparison.method import Method
from ff_mm.comparison.method_models import MethodModel, plan_model
from ff_mm.comparison.model_predictions import ModelPredictions
from ff_mm.display.console import make_console, say
from ff_mm.engine.device import describe_device
from ff_mm.fusion.bill import Bill, check_seconds, say_disk, say_time
from ff_mm.fusion.dry_run import Forecast, dry_session
from ff_mm.fusion.ensemble_runner import EnsembleRunner
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import StateDict
from ff_mm.merging.pool import Pool
from ff_mm.merging.state_dict import copy_weights

# A method, a pool that it is for, and where its model goes.
Job = tuple[Method, Any, Path]


def dry_run_comparison(runner: ComparisonRunner, seconds: float) -> float:
    """Says what a comparison will take; nothing is left behind.

    Args:
        runner: Of the comparison.
        seconds: To measure passes, of each network.

    Returns:
        The seconds of all that was counted.

    Raises:
        FFMMError: As the comparison does before it makes anything.
    """
    check_seconds(seconds)
    show = _shown()
    with dry_session() as session:
        forecast = Forecast(session, seconds)
        runner.check(session)
        jobs = [
            (method, source, folder)
            for method in runner.methods
            for source, folder in runner.places_of(method)
        ]
        _count(forecast, session, (runner.cfg, runner.cfg), jobs, runner.work_dir, show)
    resamples = runner.bootstrap['resamples']
    forecast.bill.besides.append(f'the report, of {resamples} resamples')
    return _said(forecast, runner.work_dir, show)


def dry_run_fuse(runner: FuseRunner, seconds: float) -> float:
    """Says what making the one model will take; nothing is left behind.

    Args:
        runner: Of the fusions.
        seconds: As of :func:`dry_run_comparison`.

    Returns:
        Likewise.

    Raises:
        FFMMError: Likewise.
    """
    check_seconds(seconds)
    show = _shown()
    with dry_session() as session:
        forecast = Forecast(session, seconds)
        runner.check()
        jobs = [(m, runner.source, runner.folder_of(m)) for m in runner.methods]
        if runner.judges_ensemble:
            ensemble = Method('ensemble', 'logit ensemble of all', 'pool')
            jobs.append((ensemble, runner.source, runner.work_dir))
        cfgs = runner.choosing, runner.cfg
        _count(forecast, session, cfgs, jobs, runner.work_dir, show)
    # Its file to deploy is a copy of the one that was chosen.
    forecast.bill.kept += forecast.largest
    if runner.budget:
        forecast.bill.besides.append(
            f'distillation in {runner.budget} epochs, and what its student takes'
        )
    resamples = runner.bootstrap['resamples']
    forecast.bill.besides.append(f'the report, of {resamples} resamples')
    return _said(forecast, runner.work_dir, show)


def _shown() -> Callable[[str], None]:
    console = make_console()

    def show(line: str) -> None:
        say(line, console)

    show(describe_device())
    return show


def _said(forecast: Forecast, work_dir: Path, show: Callable[[str], None]) -> float:
    say_disk(forecast.bill, work_dir, show)
    say_time(total := forecast.seconds(), forecast.bill, show)
    return total


def _count(
    forecast: Forecast,
    session: FusionSession,
    cfgs: tuple[Config, Config],
    jobs: Sequence[Job],
    work_dir: Path,
    show: Callable[[str], None],
) -> None:
    """Counts models that are to be made, then predictions of all.

    Args:
        forecast: What they are added to.
        session: Of the forecast.
        cfgs: By which models are made, and by which they are looked at.
        jobs: The models.
        work_dir: Of the command.
        show: Takes lines.
    """
    making, judging = cfgs
    models: list[tuple[int, MethodModel | None, Pool]] = []
    for method, source, folder in jobs:
        pool = session.pool(source, making.get('origin'))
        if method.is_ensemble:
            models.append((len(pool.entries), MethodModel(source, pool), pool))
            continue
        planned = plan_model(session, making, method, source, folder, show)
        if planned.report is not None:
            show(f'{method.title}: made before, in {folder}')
            file = planned.runner.file
            made = MethodModel(source, pool, planned.report, file)
            models.append((made.models, made, pool))
            continue
        forecast.add(planned.runner)
        of_several = isinstance(planned.runner, EnsembleRunner)
        models.append((len(pool.entries) if of_several else 1, None, pool))
    evaluator = session.setup(judging, show).evaluator
    said = ModelPredictions(work_dir / 'predictions', evaluator, show)
    sets = evaluator.sets
    bill, known = _predictions(session, said, list(sets), models)
    over = ', '.join(
        f'{bill.passes[name]} over {name} ({len(sets[name].dataset):,} images)'
        for name in sets
    )
    images = sum(len(sets[name].dataset) * bill.passes[name] for name in sets)
    show(f'predictions: passes, at most: {over}; {images:,} images; {known} are known')
    first = models[0][2].entries[0]

    def load(out: StateDict) -> StateDict:
        return copy_weights(first.checkpoint.weights(), out, first.name)

    forecast.count(bill, evaluator, load)


def _predictions(
    session: FusionSession,
    said: ModelPredictions,
    sets: Sequence[str],
    models: Sequence[tuple[int, MethodModel | None, Pool]],
) -> tuple[Bill, int]:
    """Counts passes for predictions that are not kept yet, and those that are."""
    bill, known = Bill(passes=Counter(dict.fromkeys(sets, 0))), 0
    counted: set[str] = set()

    def add(names: Sequence[str], number: int) -> None:
        for name in names:
            bill.passes[name] += number
        bill.reads += number * bool(names)

    for number, model, pool in models:
        if model is None:  # of which nothing is known before it is made
            add(sets, number)
            continue
        lacking = said.lacking(model, session.digests(pool))
        each = number if model.file is not None else 1
        for content, names in lacking.items():
            if content not in counted:
                counted.add(content)
                known += len(sets) - len(names)
                add(names, each)
    return bill, known
