"""Files that are no longer what was written: found without keeping others waiting."""

from __future__ import annotations

import pytest
from mmengine.registry import RUNNERS

from ff_mm.files import sha256
from ff_mm.fission import FGGPlan, Ledger, manifest
from ff_mm.fission.manifest import find_damaged, forget_damaged
from ff_mm.parallel.claim import Claim

TRIALS = FGGPlan([1e-3]).trials()


@pytest.fixture
def finished(tmp_path):
    """A function: a look at a plan of which one trial has left a file."""
    file = tmp_path / 'ingredients' / 'a.pth'
    file.parent.mkdir()
    file.write_text('as trained')
    made = dict(name='a', file=file.name, sha256=sha256(file), metrics={})
    result = dict(epochs=1, seconds=1, images=1, metrics={}, ingredients=[made])
    ledger = Ledger(tmp_path, {}, TRIALS)
    assert ledger.take('probe')
    ledger.finish('probe', result)
    ledger.release('probe')
    ledger.publish()
    return lambda: Ledger(tmp_path, {}, TRIALS)


@pytest.mark.parametrize('damage', ['changed', 'missing'])
def test_a_trial_whose_file_is_damaged_is_trained_again(tmp_path, finished, damage):
    file = tmp_path / 'ingredients' / 'a.pth'
    assert not find_damaged(finished(), ['probe'])
    file.unlink()
    if damage == 'changed':
        file.write_text('as changed')
    ledger = finished()
    suspects = find_damaged(ledger, ['probe'])
    assert list(suspects) == ['probe'] and ledger.is_done('probe')
    (line,) = forget_damaged(ledger, suspects)
    assert line.startswith(f'{file}: is ') and "trial 'probe' is trained again" in line
    assert not finished().is_settled('probe')


def test_what_another_has_trained_anew_meanwhile_is_kept(tmp_path, finished):
    file = tmp_path / 'ingredients' / 'a.pth'
    file.write_text('as changed')
    suspects = find_damaged(finished(), ['probe'])
    file.write_text('as trained')  # by another, who has looked at the same time
    assert suspects and not forget_damaged(finished(), suspects)
    assert finished().is_done('probe')


def test_nothing_is_read_while_others_wait_to_begin(
    tmp_path, generation_config, monkeypatch
):
    short = dict(plan__lrs=[1e-2], plan__probe__epochs=1, plan__base__epochs=1)
    cfg = generation_config(tmp_path, **short, plan__fission__epochs=1)
    RUNNERS.build(cfg).train()
    read, preparation = [], Claim(tmp_path / 'claims', '.preparation')

    def digest(path):
        read.append((path.name, preparation.holder))
        return sha256(path)

    monkeypatch.setattr(manifest, 'sha256', digest)
    RUNNERS.build(cfg).train()
    assert {name for name, _ in read} >= {'base_lr0.01.pth', 'probe.pth'}
    assert all(holder is None for _, holder in read)
