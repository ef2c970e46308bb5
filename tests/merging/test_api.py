from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import ff_mm
from ff_mm.errors import FFMMError
from ff_mm.merging import read_state_dict

# One weight a model; the best is at 1.4.
FOUR = [{'w': torch.tensor([float(value)])} for value in range(4)]


def near(weights):
    return -abs(weights['w'].item() - 1.4)


def test_a_greedy_soup_by_hand():
    found = ff_mm.soup(FOUR, 'greedy', score=near)
    # 1, then with 2 it is 1.5; 0 and 3 make it 1 and 2.
    assert found.weights == {'model1': 0.5, 'model2': 0.5}
    assert found.state_dict['w'].item() == 1.5
    assert found.score == pytest.approx(-0.1)
    assert [(row['candidate'], row['kept']) for row in found.table] == [
        ('model1', True),
        ('model2', True),
        ('model0', False),
        ('model3', False),
    ]
    assert 'model2: -0.1000 kept (better)' in str(found)


def test_a_uniform_soup_needs_no_score():
    found = ff_mm.soup(FOUR, 'uniform')
    assert found.state_dict['w'].item() == 1.5
    assert found.score is None
    assert found.table[0]['score'] is None


@pytest.mark.parametrize(('method', 'expected'), [('gou', 1.5), ('gog', 1), ('bou', 1)])
def test_soups_of_groups(method, expected):
    # Groups {0, 2} and {1, 3} with means 1 and 2; greedy ones are 1 and 1.
    found = ff_mm.soup(FOUR, method, score=near, groups=['a', 'b', 'a', 'b'])
    assert found.state_dict['w'].item() == expected


def test_less_can_be_better_and_known_scores_are_not_asked_for():
    asked = []

    def distance(weights):
        asked.append(weights['w'].item())
        return -near(weights)

    known = [-near(weights) for weights in FOUR]
    found = ff_mm.soup(FOUR, 'greedy', score=distance, rule='less', scores=known)
    assert found.state_dict['w'].item() == 1.5
    assert asked == [1.5, 1.0, 2.0]


def test_other_merges_and_their_searched_numbers():
    origin = {'w': torch.tensor([1.0])}
    merge = dict(type='task_arithmetic', scale=[0.5, 1.0, 1.5])
    found = ff_mm.soup(FOUR, 'uniform', near, merge=merge, origin=origin)
    # 1 + scale / 2
    assert found.state_dict['w'].item() == pytest.approx(1.5)
    found = ff_mm.soup(FOUR, 'uniform', merge=dict(merge, scale=0.5), origin=origin)
    assert found.state_dict['w'].item() == pytest.approx(1.25)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_files_and_modules_in_and_files_out(tmp_path, suffix):
    nets = [nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)) for _ in range(2)]
    for name, net in zip(('a', 'b'), nets, strict=True):
        (tmp_path / name).mkdir()
        torch.save(net.state_dict(), tmp_path / name / 'best.pth')
    files = sorted(tmp_path.glob('*/best.pth'))
    found = ff_mm.soup(files, 'uniform')
    assert list(found.weights) == [str(file) for file in files]  # not both 'best'
    of_modules = ff_mm.soup(dict(a=nets[0], b=nets[1]), 'uniform')
    assert list(of_modules.weights) == ['a', 'b']
    found.save(tmp_path / f'soup{suffix}')
    written = read_state_dict(tmp_path / f'soup{suffix}')
    for key, value in of_modules.state_dict.items():
        assert torch.equal(written[key], value)
        if value.is_floating_point():
            mean = (nets[0].state_dict()[key] + nets[1].state_dict()[key]) / 2
            torch.testing.assert_close(value, mean)
    nets[0].load_state_dict(found.state_dict)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (dict(), r"method='greedy' chooses, so give score=FUNCTION"),
        (
            dict(method='uniform', merge=dict(type='wise_ft', alpha=[0, 1])),
            'give score',
        ),
        (dict(method='gog', score=near), r'give groups=\[\.\.\.\]'),
        (dict(method='gog', score=near, groups=[1]), 'groups has 1 values, expected'),
        (dict(method='learned', score=near), r"method='learned': expected one of best"),
        (dict(method='soup', score=near), r"method='soup': expected one of best"),
        (dict(method='uniform', merge='ties'), r"needs 'origin'"),
        (dict(models=[1], method='uniform'), 'model0 is a int, expected a file, a st'),
        (
            dict(models=[dict(state_dict={}, meta={})], method='uniform'),
            r"model0: 'state_dict' is a dict and no tensor; give the state dict alone",
        ),
        (dict(models=[], method='uniform'), 'there are no ingredients'),
        (dict(models=['no.pth'], method='uniform'), r'no\.pth: cannot be opened'),
        (
            dict(models=[*FOUR, {'v': torch.zeros(1)}], method='uniform'),
            r'model4 \(in memory\) lacks keys',
        ),
    ],
)
def test_what_does_not_fit_is_a_line(call, message):
    with pytest.raises(FFMMError, match=message):
        ff_mm.soup(**{'models': FOUR, **call})


def test_safetensors_that_are_not_installed_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    found = ff_mm.soup(FOUR, 'uniform')
    with pytest.raises(FFMMError, match=r'soup\.safetensors: needs `pip install safet'):
        found.save(tmp_path / 'soup.safetensors')
    assert not list(tmp_path.iterdir())


WITHOUT = """
import importlib.util, sys
gone = ('mmengine', 'mmcv', 'mmpretrain')
for name in gone:
    sys.modules[name] = None
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in gone else find(name)
import torch, ff_mm
found = ff_mm.soup([{'w': torch.zeros(1)}, {'w': torch.ones(1)}], 'uniform')
print(found.state_dict['w'].item())
try:
    ff_mm.fission
except ImportError as error:
    print(error)
"""


def test_mmengine_is_not_needed_for_it_and_what_needs_it_says_so():
    run = subprocess.run(
        [sys.executable, '-c', WITHOUT], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    mean, said = run.stdout.splitlines()
    assert mean == '0.5'
    assert said.startswith('ff_mm: mmengine is not installed: pip install')
