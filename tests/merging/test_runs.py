from __future__ import annotations

from pathlib import Path

from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.pool import PoolEntry
from ff_mm.merging.runs import with_runs


def entry(name, stage=None, parent=None, folder='a', **hyper):
    known = dict(hyper, stage=stage, cycle=None, parent=parent)
    path = Path(folder) / f'{Path(name).name}.pth'
    return PoolEntry(name, CheckpointFile(path), known if stage or parent else hyper)


def fgg(lr, seed=0, folder='a', name='', **more):
    """A base, an average of its weights, two snapshots, and the average of a run."""
    trial = f'lr{lr}{more.get("augmentation", "")}'
    hyper = dict(lr=lr, seed=seed, **more)
    base = dict(stage='base', parent='probe', folder=folder)
    later = dict(parent=f'base_{trial}', folder=folder)
    return [
        entry(f'{name}base_{trial}', **base, **hyper),
        entry(f'{name}base_{trial}_ema', **base, **hyper, average='ema'),
        entry(f'{name}fission_{trial}_cycle1', 'fission', **later, **hyper),
        entry(f'{name}fission_{trial}_cycle2', 'fission', **later, **hyper),
        entry(f'{name}swa_{trial}_swa', 'swa', **later, **hyper, average='swa'),
    ]


def runs(entries):
    found = with_runs([each.ingredient('', None) for each in entries], entries)
    return [each.hyper.get('run') for each in found]


def test_a_base_its_averages_and_what_comes_from_it_are_a_run():
    assert runs([*fgg(0.1), *fgg(0.2)]) == ['base_lr0.1'] * 5 + ['base_lr0.2'] * 5


def test_other_augmentations_are_other_runs():
    pool = [*fgg(0.1, augmentation='heavy'), *fgg(0.1, augmentation='minimal')]
    assert runs(pool) == ['base_lr0.1heavy'] * 5 + ['base_lr0.1minimal'] * 5


def test_two_plans_of_equal_names_have_runs_of_their_own():
    """Repetitions with other seeds, or the very same plan in another folder."""
    pool = [*fgg(0.1, name='a/'), *fgg(0.1, seed=1, folder='b', name='b/')]
    assert runs(pool) == ['a/base_lr0.1'] * 5 + ['b/base_lr0.1'] * 5
    again = [*fgg(0.1)[2:], *fgg(0.1, folder='b')[2:]]
    assert runs(again) == ['base_lr0.1'] * 3 + ['b/base_lr0.1'] * 3


def test_a_run_is_one_without_its_base_too():
    pool = fgg(0.1)
    assert runs(pool[1:]) == ['base_lr0.1'] * 4
    assert runs(pool[:0:-1]) == ['base_lr0.1'] * 4


def test_bases_without_a_probe_are_runs_of_their_own():
    assert runs([entry('x', 'base'), entry('y', 'base')]) == ['x', 'y']


def test_what_goes_on_from_what_went_on_is_of_the_same_run():
    base, *_, first = fgg(0.1)[:3]
    second = entry('again', 'fission', first.file.stem, lr=0.1, seed=0)
    assert runs([base, first, second]) == ['base_lr0.1'] * 3


def test_another_hyper_parameter_begins_another_run():
    """As of a global model, which was made of all clients."""
    clients = [
        entry(f'round2_{c}', 'client', f'round1_{c}', domain=c) for c in ('A', 'B')
    ]
    together = entry('fedsoup_global', 'global', 'round2_A', domain='global')
    assert len(set(runs([*clients, together]))) == 3


def test_one_that_says_its_run_keeps_it_and_of_others_nothing_is_known():
    assert runs([entry('x', 'base', run='mine'), entry('y', lr=0.1)]) == ['mine', None]


def test_parents_in_a_circle_end():
    pool = [entry('x', 'fission', 'y'), entry('y', 'fission', 'x')]
    assert all(isinstance(run, str) for run in runs(pool))
