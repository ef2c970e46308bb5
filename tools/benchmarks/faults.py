"""What a kill costs: a plan and its soups killed at random moments, and started again.

    python tools/benchmarks/faults.py --kills 30 --out faults.json
    python tools/benchmarks/faults.py --kills 10 --processes 2 --out faults2.json
    python tools/benchmarks/faults.py --at-writes --out writes.json

The plan is the quickstart, its soups are all five of the paper; `--plan short`
is the same network on fewer and smaller images, in fewer trials and epochs. First they
are run undisturbed. Then each case is begun in an empty folder and killed with SIGKILL
at a moment that is drawn uniformly from the duration of the undisturbed run; one case
in five is killed a second time. With --processes 2 one of the two processes is killed,
drawn at random, and torchrun ends the other. The command that was killed is given again
until it ends well, and the SHA-256 of all ingredients, soups and deployment configs are
compared with those of the undisturbed run by one process. After each kill all files are
looked at as they are: JSON must parse, archives must be whole, and what
ingredients.json names must be what it says.

With --at-writes nothing is random: a plan and soups of a second are killed right before
and right after each single renaming, linking, exclusive creation and removal of a file
in their folder. Each case is forked from a process that has imported everything, which
leaves out what a start costs, and nothing else.

With --out finished cases are kept, and not done again when the command is given again.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import mmengine.config.config
import torch
from measuring import ROOT, machine, one_thread, show, torchrun
from sklearn.datasets import load_digits

import ff_mm  # noqa: F401  # so that forks need not import it
from ff_mm.files import read_json, sha256, write_json

GENERATION = 'fgg_digits_resnet18'
FUSION = 'gog_digits_resnet18'
SOUPS = ('gog', 'gou', 'greedy', 'uniform', 'best')
LOG = 'log.txt'
# Share of the cases that are killed again after the restart.
_TWICE = 0.2
# How often a command is given again before its case counts as lost.
_RESTARTS = 3
# Seconds that torchrun may take to end the others: it gives them 30.
_FAREWELL = 120

# Of both tools, of tools/train.py and of tools/soup.py. Bases stop early.
_SHORT = (
    [
        'image_size=16',
        *(f'{name}_dataloader.dataset.indices=160' for name in ('train', 'val')),
        'test_dataloader.dataset.indices=160',
        'ood_dataloaders.corrupted.dataset.indices=160',
    ],
    [
        'plan.lrs=[1e-3,1e-4]',
        'plan.probe.epochs=2',
        *('plan.base.epochs=4', 'plan.base.patience=1', 'plan.base.min_delta=0.3'),
        'plan.fission.epochs=3',
    ],
)
_TINY = (
    [
        'image_size=8',
        *(f'{name}_dataloader.dataset.indices=40' for name in ('train', 'val', 'test')),
        'ood_dataloaders.corrupted.dataset.indices=40',
        *('model.backbone.num_stages=2', 'model.backbone.strides=(1,1)'),
        *('model.backbone.dilations=(1,1)', 'model.backbone.out_indices=(1,)'),
        *('model.backbone.stem_channels=4', 'model.backbone.base_channels=4'),
        *('model.backbone.drop_path_rate=0.2', 'model.head.in_channels=8'),
    ],
    [
        'plan.lrs=[1e-2,1e-3]',
        *('plan.probe.epochs=1', 'plan.base.epochs=2', 'plan.fission.epochs=3'),
    ],
)
PLANS = {'short': _SHORT, 'quickstart': ([], []), 'tiny': _TINY}

Command = list[str]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=30, help='cases')
    parser.add_argument('--plan', choices=['short', 'quickstart'], default='short')
    parser.add_argument('--processes', type=int, choices=[1, 2], default=1)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--at-writes', action='store_true', help='systematic cases instead of random'
    )
    parser.add_argument('--dir', type=Path, help='for scratch folders, instead of /tmp')
    parser.add_argument('--keep', action='store_true', help='keep those that differ')
    parser.add_argument('--out', type=Path, help='json, which also takes up where')
    return parser.parse_args()


def main() -> None:
    """Runs the campaign; exits with 1 if a case did not come out equal."""
    args = parse_args()
    torch.set_num_threads(1)  # forked processes may not share a pool of threads
    if args.dir is not None:
        args.dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix='faults.', dir=args.dir)).resolve()
    report = Report(args)
    try:
        (campaign_of_writes if args.at_writes else campaign)(args, folder, report)
    finally:
        if not any(folder.glob('different.*')):
            shutil.rmtree(folder)
    report.conclude()


class Report:
    """The cases that are done, on disk if there is a file for them.

    Args:
        args: The command line, which a report that goes on must have in common.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        names = ('plan', 'processes', 'seed', 'at_writes')
        self._file = args.out
        arguments = {name: getattr(args, name) for name in names}
        self.content: dict[str, Any] = dict(arguments=arguments, cases=[])
        if self._file is not None and self._file.exists():
            self.content = read_json(self._file)
            if self.content['arguments'] != arguments:
                raise SystemExit(f'{self._file}: is of {self.content["arguments"]}')

    @property
    def cases(self) -> list[dict[str, Any]]:
        """All that are done."""
        return self.content['cases']

    def once(self, name: str, function: Callable[[], Any]) -> Any:
        """Returns what a function gives, or gave when it was called before."""
        if name not in self.content:
            self.content[name] = function()
            self._write()
        return self.content[name]

    def add(self, case: dict[str, Any]) -> None:
        """Notes and prints a case."""
        self.cases.append(case)
        self._write()
        print(f'{case["name"]}: {case["at"]}: {outcome(case)}', flush=True)

    def conclude(self) -> None:
        """Prints what came out."""
        equal = sum(is_equal(case) for case in self.cases)
        rows = [[case['name'], case['at'], outcome(case)] for case in self.cases]
        show('Killed, and started again', ['case', 'at', 'outcome'], rows)
        if self._file is not None:
            print(f'written: {self._file}')
        print(f'{equal} of {len(self.cases)}')
        if equal < len(self.cases):
            sys.exit(1)

    def _write(self) -> None:
        if self._file is not None:
            write_json(dict(self.content, machine=machine()), self._file)


def is_equal(case: dict[str, Any]) -> bool:
    """Whether a case came out as the undisturbed run, and its files were whole."""
    return not (case['different'] or case['blemishes'] or case['exit'])


def outcome(case: dict[str, Any]) -> str:
    """A line on how a case came out."""
    if is_equal(case):
        return 'equal' + (f', killed {case["kills"]} times' * (case['kills'] > 1))
    if case['exit']:
        return f'ends with {case["exit"]}: {case["last_words"]}'
    return f'different: {case["different"]}, after the kill: {case["blemishes"]}'


# Random moments.


def campaign(args: argparse.Namespace, folder: Path, report: Report) -> None:
    """Kills at random moments of the whole run."""
    numbers = [1] if args.processes == 1 else [1, args.processes]
    runs = {
        number: report.once(
            f'undisturbed by {number}',
            partial(undisturbed, args.plan, number, folder),
        )
        for number in numbers
    }
    for number, run in runs.items():
        seconds = ' + '.join(f'{second:.1f}' for second in run['seconds'])
        files = len(run['files'])
        print(f'undisturbed by {number}: {seconds} s, {files} files', flush=True)
        if run['files'] != runs[1]['files']:
            raise SystemExit(f'{number} processes give other files than one does')
    duration = sum(runs[args.processes]['seconds'])
    for number in range(len(report.cases), args.kills):
        duration = report.content.setdefault('duration', duration)
        case = Case(args, number, folder, duration)
        done = case.run(runs[1]['files'], keep=args.keep)
        report.content['duration'] = case.duration
        report.add(done)


def undisturbed(plan: str, processes: int, folder: Path) -> dict[str, Any]:
    """What a run gives that nothing happens to, and how long its commands take."""
    place = folder / f'undisturbed.{processes}'
    place.mkdir()
    seconds = []
    for command in commands(plan, processes):
        start = time.perf_counter()
        process = begin(command, place)
        if process.wait():
            raise SystemExit(f'undisturbed: {last_line(place / LOG)}')
        seconds.append(time.perf_counter() - start)
    if found := blemishes(place):
        raise SystemExit(f'undisturbed: {found}')
    files = digests(place)
    shutil.rmtree(place)
    return dict(seconds=seconds, files=files)


def commands(plan: str, processes: int = 1) -> list[Command]:
    """The commands of a plan and its soups."""
    return [torchrun(processes, *tool) for tool in tools(plan)]


def tools(plan: str) -> list[Command]:
    """The tools with their arguments; they work in the current directory."""
    common, training = PLANS[plan]
    train = [str(ROOT / 'tools/train.py'), str(ROOT / f'configs/{GENERATION}.py')]
    soup = [str(ROOT / 'tools/soup.py'), str(ROOT / f'configs/{FUSION}.py')]
    soup += ['--soup', *SOUPS]
    # The generation has no use for other sets than train, val and test.
    given = ((train, [*common, *training]), (soup, common))
    return [
        [*command, '--cfg-options', *options] if options else command
        for command, options in given
    ]


def begin(command: Command, folder: Path) -> subprocess.Popen:
    """Starts a command in a folder, with one thread; what it says goes into a file."""
    environment = one_thread(PYTHONUNBUFFERED='1')
    with open(folder / LOG, 'ab') as log:
        log.write(f'{tool_of(command)}\n'.encode())
        log.flush()
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )


def tool_of(command: Command) -> str:
    """The file's name of the tool that a command runs."""
    return next(Path(word).name for word in command if word.endswith('.py'))


class Case:
    """A run that is killed once or twice.

    Args:
        args: The command line.
        number: Of the case; with the seed it decides all that is drawn.
        folder: Where its own folder is made.
        duration: Seconds of the undisturbed run.

    Attributes:
        duration: The same, or that of a run that ended before its moment came.
    """

    def __init__(
        self, args: argparse.Namespace, number: int, folder: Path, duration: float
    ) -> None:
        self.name = f'{number + 1}'
        self._args = args
        self._folder = folder / f'case.{number}'
        self.duration = duration
        self._random = random.Random(f'{args.seed} {args.processes} {number}')
        self._at: list[str] = []
        self._blemishes: list[str] = []

    def run(self, expected: dict[str, str], keep: bool) -> dict[str, Any]:
        """Kills, restarts and compares."""
        twice = self._random.random() < _TWICE
        left, moment = self._first_kill()
        if twice:
            moment = self._random.uniform(0, self.duration - moment)
            left = self._until(left, moment)
        code, restarts = self._finish(left)
        found = digests(self._folder)
        case = dict(
            name=self.name,
            at='; '.join(self._at),
            kills=len(self._at),
            blemishes=self._blemishes,
            exit=code,
            last_words=last_line(self._folder / LOG),
            restarts=restarts,
            different=differences(expected, found),
            left_over=left_over(self._folder),
        )
        put_away(self._folder, keep and not is_equal(case))
        return case

    def _first_kill(self) -> tuple[list[Command], float]:
        """Runs until a moment that comes before the end."""
        while True:
            start = time.monotonic()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            moment = self._random.uniform(0, self.duration)
            everything = commands(self._args.plan, self._args.processes)
            left = self._until(everything, moment)
            if left:
                return left, moment
            self.duration = time.monotonic() - start

    def _until(self, left: list[Command], moment: float) -> list[Command]:
        """Runs commands up to a moment, and kills; returns what is not finished."""
        start = time.monotonic()
        for position, command in enumerate(left):
            process = begin(command, self._folder)
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, moment - (time.monotonic() - start)))
            if (killed := self._kill(process, command)) is not None:
                seconds = time.monotonic() - start
                words = last_line(self._folder / LOG)
                self._at.append(f'{seconds:.1f} s, {killed}: {words[:60]}')
                process.wait(_FAREWELL)
                self._blemishes += blemishes(self._folder)
                return left[position:]
            if process.wait():
                return left[position:]  # said by what comes next
        return []

    def _kill(self, process: subprocess.Popen, command: Command) -> str | None:
        """Kills a process, or one of those that it has started; None: it has ended."""
        victim, name = process.pid, tool_of(command)
        if self._args.processes > 1:
            while len(ranks := children(process.pid)) < self._args.processes:
                if process.poll() is not None:
                    return None
                time.sleep(0.01)
            rank = self._random.randrange(len(ranks))
            victim, name = ranks[rank], f'{name} of rank {rank}'
        if process.poll() is not None:
            return None
        os.kill(victim, signal.SIGKILL)
        return name

    def _finish(self, left: list[Command]) -> tuple[int, int]:
        """Gives commands again until they end well; the exit code, and how often."""
        restarts = 0
        for command in left:
            for _ in range(_RESTARTS):
                restarts += 1
                code = begin(command, self._folder).wait()
                if not code:
                    break
            if code:
                return code, restarts
        return 0, restarts


def children(pid: int) -> list[int]:
    """The processes that a process has started, the first one first."""
    with suppress(OSError):
        path = Path(f'/proc/{pid}/task/{pid}/children')
        return [int(child) for child in path.read_text().split()]
    return []


# Each single write.


def campaign_of_writes(args: argparse.Namespace, folder: Path, report: Report) -> None:
    """Kills before and after each change of a name in the folder of a tiny run."""
    # What takes most of a tiny run's time and decides nothing: layout of config texts.
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)
    load_digits()
    gc.collect()
    gc.freeze()  # else each collection in a fork would copy all that is imported
    done = {case['name'] for case in report.cases}
    stages = tools('tiny')
    start = folder / 'start'
    start.mkdir()
    for tool in stages:
        finished = folder / f'{Path(tool[0]).stem}.finished'
        shutil.copytree(start, finished)
        writes = Writes(finished)
        begun = time.perf_counter()
        if in_fork(tool, finished, writes):
            raise SystemExit(f'undisturbed: {last_line(finished / LOG)}')
        seconds = time.perf_counter() - begun
        seen = (finished / Writes.LIST).read_text().splitlines()
        print(f'{tool[0]}: {seconds:.1f} s, {len(seen)} writes', flush=True)
        expected = digests(finished)
        for number, what in enumerate(seen, start=1):
            for side in ('before', 'after'):
                name = f'{Path(tool[0]).stem} {number} {side}'
                if name not in done:
                    place = folder / 'case'
                    shutil.copytree(start, place)
                    case = case_at_write(tool, place, number, side, expected)
                    report.add(dict(case, name=name, at=f'{side} {what}'))
                    put_away(place, args.keep and not is_equal(report.cases[-1]))
        start = finished


def case_at_write(
    tool: Command, place: Path, number: int, side: str, expected: dict[str, str]
) -> dict[str, Any]:
    """Kills a tool at one write, and runs it again."""
    in_fork(tool, place, Writes(place, number, side))
    found = blemishes(place)
    code, restarts = 1, 0
    while code and restarts < _RESTARTS:
        restarts += 1
        code = in_fork(tool, place, Writes(place))
    return dict(
        kills=1,
        blemishes=found,
        exit=code,
        last_words=last_line(place / LOG),
        restarts=restarts,
        different=differences(expected, digests(place)),
        left_over=left_over(place),
    )


class Writes:
    """Counts what changes names in a folder, and kills at one of these moments.

    Args:
        folder: What happens elsewhere does not count.
        number: Of the moment, from 1; 0: nothing is killed.
        side: ``'before'`` or ``'after'``.
    """

    LIST = 'writes.txt'

    def __init__(self, folder: Path, number: int = 0, side: str = 'before') -> None:
        self._folder = folder
        self._moment = (number, side)
        self._count = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Stands between a program and the system; it does not step back."""
        with open(self._folder / self.LIST, 'w', encoding='utf-8') as self._seen:
            for name in ('replace', 'link', 'unlink', 'open'):
                setattr(os, name, self._watch(name, getattr(os, name)))
            yield

    def _watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *args: Any, **options: Any) -> Any:
            if not self._counts(name, path, args, **options):
                return function(path, *args, **options)
            target = Path(args[0] if name in ('replace', 'link') else path)
            self._count += 1
            print(name, target.parent.name, target.name, file=self._seen, flush=True)
            self._kill_if('before')
            result = function(path, *args, **options)
            self._kill_if('after')
            return result

        return watched

    def _counts(
        self, name: str, path: Any, args: tuple[Any, ...], dir_fd: int | None = None
    ) -> bool:
        if name == 'open' and not args[0] & os.O_EXCL:
            return False
        if dir_fd is not None:  # as shutil.rmtree names files
            path = Path(os.readlink(f'/proc/self/fd/{dir_fd}'), path)
        return Path(path).absolute().is_relative_to(self._folder)

    def _kill_if(self, side: str) -> None:
        if (self._count, side) == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)


def in_fork(tool: Command, folder: Path, writes: Writes) -> int:
    """Runs a tool in a fork of this process; returns its exit code, or minus signal."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        os.chdir(folder)
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = tool
        with writes.watched():
            runpy.run_path(tool[0], run_name='__main__')
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else bool(stop.code)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


# What is on disk.


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what comes out of a run, by name."""
    patterns = ('*/ingredients/*.pth', '*/soup.pth', '*/deploy.py', '*/splits.csv')
    root = folder / 'work_dirs'
    paths = [path for pattern in patterns for path in root.glob(pattern)]
    return {
        str(path.relative_to(root)): sha256(path)
        for path in sorted(paths)
        if not path.name.startswith('.')
    }


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of files that are missing, changed or too many."""
    names = sorted(expected | found)
    return [name for name in names if expected.get(name) != found.get(name)]


def blemishes(folder: Path) -> list[str]:
    """Says which files are not whole, however a run has ended.

    MMEngine's logs (vis_data) are lines that are added, and nobody reads them.
    """
    found = []
    for path in sorted((folder / 'work_dirs').rglob('*')):
        if path.is_dir() or 'vis_data' in path.parts or path.name.startswith('.'):
            continue
        try:
            _require_whole(path)
        except (ValueError, SyntaxError, zipfile.BadZipFile) as error:
            found.append(f'{path.relative_to(folder)}: {error}')
    return found


def _require_whole(path: Path) -> None:
    if path.suffix == '.json':
        content = read_json(path)
        if path.name == 'ingredients.json':
            for entry in content['ingredients']:
                if sha256(path.parent / entry['file']) != entry['sha256']:
                    raise ValueError(f'{entry["file"]} is something else')
    elif path.suffix == '.pth':
        with zipfile.ZipFile(path) as archive:
            if (name := archive.testzip()) is not None:
                raise ValueError(f'{name} is damaged')
    elif path.name == 'deploy.py' and 'model' not in runpy.run_path(str(path)):
        raise ValueError('is cut short')


def left_over(folder: Path) -> dict[str, int]:
    """Temporary files that kills have left: number and bytes; claims that remain."""
    parts = [path for path in folder.rglob('.*.part') if path.is_file()]
    claims = list(folder.rglob('claims/*'))
    size = sum(path.stat().st_size for path in parts)
    return dict(parts=len(parts), bytes=size, claims=len(claims))


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    if not path.exists():
        return ''
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), '')


def put_away(folder: Path, keep: bool) -> None:
    """Removes the folder of a case, or keeps it under a name that says so."""
    if not keep:
        shutil.rmtree(folder)
        return
    kept = Path(tempfile.mkdtemp(prefix='different.', dir=folder.parent))
    folder.rename(kept / folder.name)
    print(f'kept: {kept / folder.name}')


if __name__ == '__main__':
    main()
