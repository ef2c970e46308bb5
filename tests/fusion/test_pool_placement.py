"""A device that has room for all, and one that has not: the same decisions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import RUNNERS

from ff_mm import memory
from ff_mm.evaluation import evaluation_set
from ff_mm.evaluation.device_reads import Reading
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.kept_images import KeptCases, StreamedCases
from ff_mm.fusion.pool_placement import place
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.placement import Placement

CPU, GPU = torch.device('cpu'), torch.device('cuda', 0)
MODEL = 400


@pytest.mark.parametrize(
    ('device', 'free', 'asked', 'expected'),
    [
        # A third of what is free holds ten models and their sums, or sums alone.
        (GPU, 3 * 14 * MODEL, None, (GPU, True)),
        (GPU, 3 * 14 * MODEL - 1, None, (GPU, False)),
        (GPU, 3 * 4 * MODEL, True, (GPU, True)),
        (GPU, 3 * 14 * MODEL, False, (GPU, False)),
        (GPU, 3 * 4 * MODEL - 1, None, (CPU, False)),
        (GPU, 3 * 4 * MODEL - 1, True, (CPU, True)),
        (CPU, 0, None, (CPU, False)),
        (CPU, 0, True, (CPU, True)),
    ],
)
def test_where_a_pool_is_goes_by_what_is_free(
    monkeypatch, device, free, asked, expected
):
    def free_memory(of):
        return free if of == GPU else 0

    monkeypatch.setattr(memory, 'free_memory', free_memory)
    evaluator = SimpleNamespace(
        weights=dict(a=torch.zeros(100)),
        device=device,
        options=SimpleNamespace(keep_pool=asked),
    )
    lines = []
    found = place(evaluator, 10, lines.append)
    assert (found.device, found.keeps) == expected
    where = 'memory' if expected[0] == CPU else 'the memory of cuda:0'
    assert lines == [f'the pool is kept in {where}, 0 MB'] * expected[1]


def test_what_is_free_is_what_the_device_says_and_torch_holds_unused(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, 'memory_reserved', lambda device: 70)
    monkeypatch.setattr(torch.cuda, 'memory_allocated', lambda device: 50)
    assert memory.free_memory(GPU) == 120
    assert memory.fits(40, GPU) and not memory.fits(41, GPU)
    assert memory.free_memory(CPU) == 0


@pytest.fixture
def as_a_device(monkeypatch):
    """Has the CPU treated as a device with memory of its own; counts what it is for."""
    found = SimpleNamespace(reads=0, batches=0, images=set(), placements=[])

    class Read(Reading):
        def __init__(self, samples, device):
            found.reads += 1
            super().__init__(samples, device)
            self._begin(device)

    real_init, real_set = Placement.__init__, EvaluationSet.__init__

    def works_ahead(self, *args, **kwargs):
        real_set(self, *args, **kwargs)
        self._ahead = 1

    def counted(batches):
        def count(self, *args):
            found.images.add(getattr(self, 'where', 'decoded anew'))
            for batch in batches(self, *args):
                found.batches += 1
                yield batch

        return count

    def init(self, *args):
        real_init(self, *args)
        found.placements.append(self)

    monkeypatch.setattr(memory, 'free_memory', lambda device: 10**10)
    monkeypatch.setattr(evaluation_set, 'Reading', Read)
    monkeypatch.setattr(EvaluationSet, '__init__', works_ahead)
    for cases in (KeptCases, StreamedCases):
        monkeypatch.setattr(cases, 'batches', counted(cases.batches))
    monkeypatch.setattr(Placement, '__init__', init)
    return found


def soup(analysis_config, folder):
    cfg = analysis_config('GoGSoupRunner', folder)
    cfg.selection = dict(metric='accuracy', rule='greater')
    cfg.soup = dict(group_by='lr')
    cfg.evaluation = dict(batch_size=4)
    report = RUNNERS.build(cfg).run()
    del report['seconds']
    return report, (folder / 'soup.pth').read_bytes()


def test_a_soup_is_the_same_with_all_on_the_device(
    analysis_config, tmp_path, as_a_device, monkeypatch
):
    report, file = soup(analysis_config, tmp_path / 'device')
    # Those that one model alone sees are not kept.
    assert as_a_device.images == {'the memory of cpu', 'decoded anew'}
    assert [p.keeps for p in as_a_device.placements] == [True]
    assert as_a_device.reads == as_a_device.batches > 0
    monkeypatch.undo()
    plain, other = soup(analysis_config, tmp_path / 'plain')
    assert report['evaluations']['stopped'] > 0
    # By when a candidate has lost, another batch has been begun.
    images, fewer = report['evaluations'].pop('images'), plain['evaluations']['images']
    assert images['val'] > fewer['val'] and images['test'] == fewer['test']
    del plain['evaluations']['images']
    assert (report, file) == (plain, other)


def paths(analysis_config, folder):
    cfg = analysis_config('LMCRunner', folder, lmc=dict(points=3))
    return [path.metrics for path in RUNNERS.build(cfg).run().paths]


@pytest.mark.usefixtures('files_where_looked_at')
def test_so_are_paths_between_all_pairs(
    analysis_config, tmp_path, as_a_device, monkeypatch
):
    """Each model is read once, however many pairs it is in."""
    read = []
    real = CheckpointFile.in_passing

    def in_passing(self):
        read.append(self.path.name)
        return real(self)

    placed = Placement.of_file

    def of_file(self, checkpoint):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CheckpointFile, 'in_passing', in_passing)
            return placed(self, checkpoint)

    monkeypatch.setattr(Placement, 'of_file', of_file)
    found = paths(analysis_config, tmp_path / 'device')
    assert len(found) == 15
    assert sorted(read) == sorted(set(read)) and len(read) == 6
    monkeypatch.undo()
    assert found == paths(analysis_config, tmp_path / 'plain')
