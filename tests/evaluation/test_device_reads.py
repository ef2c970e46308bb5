from __future__ import annotations

import pytest
import torch
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

from ff_mm.evaluation.device_reads import Reading, as_dicts

CPU = torch.device('cpu')


def in_memory(given, device):
    """As from a device, whatever device that is."""
    reading = Reading(given, CPU)
    reading._begin(device)
    return reading.result()


def samples(number=5):
    """As networks leave them: scores, labels, and what is no tensor."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(number, 3, generator=generator)
    found = []
    for i, score in enumerate(scores):
        sample = DataSample(img_path=f'{i}.png')
        sample.set_pred_score(score).set_pred_label(score.argmax(0, True))
        sample.set_gt_label(torch.tensor([i, 7] if i == 2 else [i]))
        sample.set_field(score > 0.5, 'sure')
        sample.set_field(score.bfloat16()[:2], 'half')
        sample.set_field(torch.empty(0), 'nothing')
        found.append(sample)
    return found


def require_equal(got, expected):
    assert list(got) == list(expected)
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert got[name].dtype == value.dtype
            assert torch.equal(got[name], value)
        else:
            assert got[name] == value


class Reads(TorchDispatchMode):
    """Counts copies from one device to another."""

    copies = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += function in self.copies
        return function(*args, **(kwargs or {}))


def test_what_is_read_is_what_is_there():
    """Of any dtypes and shapes, whatever is beside it."""
    expected = [sample.to_dict() for sample in samples()]
    got = in_memory([sample.to_dict() for sample in samples()], CPU)
    assert len(got) == 5
    for one, other in zip(got, expected, strict=True):
        require_equal(one, other)


def test_on_a_cpu_nothing_is_copied():
    given = samples()
    for got, sample in zip(as_dicts(given, CPU), given, strict=True):
        require_equal(got, sample.to_dict())
        assert got['pred_score'] is sample.pred_score


def test_what_networks_of_others_say_is_left_as_it_is():
    score = torch.rand(3)
    given = [dict(score=score, name='x'), 'neither', None]
    got = in_memory(given, CPU)
    require_equal(got[0], given[0])
    assert got[1:] == given[1:]
    assert given[0]['score'] is score
    assert in_memory(['neither'], CPU) == ['neither']
    elsewhere = torch.device('meta')
    assert in_memory(given, elsewhere)[0]['score'] is score


@pytest.mark.skipif(not torch.cuda.is_available(), reason='takes a GPU')
def test_a_batch_is_read_once():
    device = torch.device('cuda', torch.cuda.current_device())
    expected = [sample.to_dict() for sample in samples()]
    given = [sample.to(device) for sample in samples()]
    with Reads() as reads:
        got = as_dicts(given, device)
    assert reads.number == 1
    for one, other in zip(got, expected, strict=True):
        require_equal(one, other)
