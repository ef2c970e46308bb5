from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

from ff_mm.merging.contents import settle
from ff_mm.merging.state_dict import CheckpointError, read_state_dict


def nested(depth):
    item: list = []
    for _ in range(depth):
        item = [item]
    return item


def doubled(times):
    item: list = []
    for _ in range(times):
        item = [item, item]
    return item


def test_all_tensors_are_found_once_wherever_they_are():
    a, b, c = torch.ones(1), torch.ones(2), torch.ones(3)
    circle: list = [b]
    circle.append(circle)
    content = dict(a=a, again=[a, (c, circle)], deep=nested(90), often=doubled(20))
    found = settle(content)
    assert len(found) == 3 and {id(t) for t in found} == {id(a), id(b), id(c)}


@pytest.mark.parametrize(
    'item', [nested(100), nested(200_000), doubled(40)], ids=['100', 'deep', 'often']
)
def test_what_is_nested_without_end_is_refused(item):
    with pytest.raises(ValueError, match='containers within each other'):
        settle(dict(meta=[1, (item,)]))


def test_attributes_are_taken_away_but_for_the_versions_of_layers():
    weight = torch.nn.Parameter(torch.ones(2))
    weight.no_decay = True
    weights = OrderedDict(w=weight)
    weights._metadata, weights.other = {'': dict(version=1)}, 3
    settle(weights)
    assert vars(weight) == {}
    assert vars(weights) == dict(_metadata={'': dict(version=1)})
    weights._metadata = {'': 'none'}
    settle(weights)
    assert vars(weights) == {}


@pytest.mark.parametrize('name', ['detach', 'numel', '__class__'])
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_an_attribute_that_hides_a_method_is_refused(tmp_path, name):
    weight = torch.nn.Parameter(torch.ones(2))
    vars(weight)[name] = 'text'
    torch.save({'w': weight}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth: .*'):
        read_state_dict(tmp_path / 'a.pth')


@pytest.mark.parametrize('name', ['get', 'values'])
def test_an_attribute_that_hides_a_method_of_a_dict_is_refused(tmp_path, name):
    weights = OrderedDict(w=torch.ones(2))
    vars(weights)[name] = 'text'
    torch.save({'state_dict': weights}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=rf"a\.pth: .*attribute '{name}'"):
        read_state_dict(tmp_path / 'a.pth')
