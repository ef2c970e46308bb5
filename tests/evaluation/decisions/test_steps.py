from __future__ import annotations

import pytest

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.steps import Prior, Temperature, read_steps

KEY = 'soup.decision'


def test_a_step_is_a_name_or_a_dict_or_several_of_them():
    assert read_steps(None, KEY) == []
    assert read_steps('prior', KEY) == [('prior', Prior())]
    both = ['temperature', dict(type='prior', tau=0.5)]
    assert read_steps(both, KEY) == [
        ('temperature', Temperature()),
        ('prior', Prior(tau=0.5)),
    ]


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('softmax', "'softmax': expected one of"),
        (True, 'True: expected one of'),
        ([], 'expected a step'),
        (dict(tau=1), 'expected one of'),
        (dict(type='prior', t=1), "prior: unknown key 't'"),
        (dict(type='prior', tau='best'), "tau='best'"),
        (dict(type='prior', tau=float('inf')), 'tau=inf'),
        (dict(type='prior', tau=True), 'tau=True'),
        (dict(type='prior', frequencies=[1, 0]), 'above 0'),
        (dict(type='prior', frequencies='train'), 'expected a list'),
        (dict(type='temperature', accept=2), 'accept=2'),
        (dict(type='thresholds', metric='f2'), "metric='f2'"),
    ],
)
def test_what_is_no_step_is_one_line(value, message):
    with pytest.raises(ConfigError, match=message) as error:
        read_steps(value, KEY)
    assert '\n' not in str(error.value) and str(error.value).startswith(KEY)


@pytest.mark.parametrize(
    ('value', 'multilabel', 'message'),
    [
        ('thresholds', False, "take 'prior'"),
        (dict(type='prior', frequencies=[1, 2]), False, 'has 2 values, the head'),
        (dict(type='prior', frequencies=[1, 0.2, 0.5]), True, 'below 1'),
    ],
)
def test_what_does_not_go_with_the_head_is_one_line(value, multilabel, message):
    ((_, step),) = read_steps(value, KEY)
    with pytest.raises(ConfigError, match=message):
        step.check(multilabel, 3, KEY)
