from __future__ import annotations

import csv

import numpy as np
import pytest

from ff_mm.analysis.loss_surface.result import LossSurface
from ff_mm.analysis.loss_surface.surface_plot import Mark

XS, YS = np.linspace(-1, 1, 5), np.linspace(0, 3, 4)


def surface(ys=YS, **changes):
    """Loss x ** 2 + y, accuracy its negative; row by row."""
    rows = [0.0] if ys is None else ys
    metrics = [dict(loss=x * x + y, accuracy=-x * x - y) for y in rows for x in XS]
    rules = dict(loss='less', accuracy='greater')
    return LossSurface(XS, ys, metrics, rules, 'val', **changes)


def test_rows_are_y_and_columns_are_x():
    values = surface().values('loss')
    assert values.shape == (4, 5)
    assert values[3, 0] == 1 + 3 and values[0, 2] == 0


def test_of_a_metric_where_more_is_better_it_is_the_maxima():
    loss, accuracy = (surface().minima(m) for m in ('loss', 'accuracy'))
    assert loss == accuracy
    assert (loss[0].row, loss[0].column) == (0, 2)


def test_the_summary():
    loss, accuracy = surface().summary()
    assert loss['points'] == 20 and loss['minima'] == 1 and loss['deepest_other'] == 0
    assert (loss['least'], loss['most']) == (0, 4)
    assert (accuracy['least'], accuracy['most']) == (-4, 0)
    assert loss['roughness'] == pytest.approx(0)


def test_null_is_no_number():
    found = surface()
    found.metrics[7]['loss'] = None
    assert np.isnan(found.values('loss')).sum() == 1
    assert found.summary()[0]['most'] == 4


def test_a_line(tmp_path):
    found = surface(ys=None, kind='directions')
    assert found.values('loss').tolist() == [1, 0.25, 0, 0.25, 1]
    names = {file.name for file in found.write(tmp_path)}
    assert 'directions_grid.csv' in names and 'directions_loss.png' in names


def test_minima_are_told_in_the_metric_s_own_sign(tmp_path):
    marks = [Mark('a', 0.0, 0.0)]
    found = surface(marks=marks, mark_metrics=[dict(loss=0.0, table=[1, 2])])
    found.write(tmp_path)
    with open(tmp_path / 'plane_minima.csv', newline='') as file:
        rows = {row['metric']: row for row in csv.DictReader(file)}
    assert float(rows['accuracy']['value']) == 0 == float(rows['loss']['value'])
    assert float(rows['accuracy']['depth']) == 4
    header = (tmp_path / 'plane_marks.csv').read_text().splitlines()[0]
    assert header == 'name,kind,x,y,off_plane,loss'
