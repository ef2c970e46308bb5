from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ff_mm.analysis.trajectory.training_log import Chain, TrialLog
from ff_mm.analysis.trajectory.trajectory_plot import trajectory_plot
from ff_mm.display.figures import COLUMN, PAGE
from ff_mm.engine.schedulers.cycle import Cycle

METRICS = {'macro_recall': 'greater', 'loss': 'less'}


def trial(stage, epochs, metrics, best=None, snapshots=(), schedule=None, rates=None):
    return TrialLog(
        id=stage,
        stage=stage,
        parent=None,
        hyper={},
        epochs=epochs,
        best_epoch=best,
        snapshots={epoch: n for n, epoch in enumerate(snapshots, 1)},
        metrics=metrics,
        rates=rates or {},
        schedule=schedule,
        ingredients=(),
        logged=True,
    )


def chain(best=2):
    falling = {e: dict(macro_recall=0.1 * e, loss=2.0 - 0.1 * e) for e in range(1, 6)}
    fission = {e: dict(macro_recall=0.6, loss=1.0 + e) for e in (1, 3)}
    return Chain(
        'fgg',
        trial('base', 5, falling, best, rates={(e, 10 * e): 1e-3 for e in falling}),
        trial('fission', 3, fission, None, (1, 3), Cycle(1e-3, 1e-6, 2000.0, 0)),
    )


def lines(axes):
    return [np.array(line.get_xydata(), float).tolist() for line in axes.get_lines()]


def panels(figure, metrics=2):
    """Axes by chain, from top to bottom."""
    axes = figure.axes
    return [axes[i : i + metrics + 1] for i in range(0, len(axes), metrics + 1)]


def test_the_fission_follows_the_base_and_starts_from_its_best_epoch():
    figure = trajectory_plot([chain(best=2)], ['lr 0.001'], METRICS)
    recall, loss, rate = panels(figure)[0]
    drawn = lines(recall)
    assert [[e, pytest.approx(0.1 * e)] for e in range(1, 6)] in drawn
    # From the best epoch across to where the fission begins, and on from there.
    assert [[2, 0.2], [5, 0.2]] in drawn
    assert [[5, 0.2], [6, 0.6], [8, 0.6]] in drawn
    assert [[6, 0.6], [8, 0.6]] in drawn  # snapshots
    assert [[2, 0.2]] in drawn  # the chosen epoch
    assert [[6, 2.0], [8, 4.0]] in lines(loss)
    at = np.concatenate([np.array(points)[:, 0] for points in lines(rate)])
    assert (at.min(), at.max()) == (0, 8)
    assert rate.get_yscale() == 'log'
    assert recall.get_xlim() == rate.get_xlim() == (0, 8)


def test_a_chain_without_a_fission_or_a_base():
    whole = chain()
    alone = [Chain('g', whole.base, None), Chain('g', None, whole.fission)]
    figure = trajectory_plot(alone, ['a', 'b'], METRICS)
    (base, *_), (fission, *_) = panels(figure)
    assert len(lines(base)) == 3
    assert [[1, 0.6], [3, 0.6]] in lines(fission)
    assert base.get_xlim() == (0, 5)


def test_a_loss_beyond_all_measure_does_not_flatten_the_others():
    losses = {e: dict(macro_recall=0.5, loss=1.0 + 0.01 * e) for e in range(1, 9)}
    losses[3] = dict(macro_recall=0.5, loss=1e6)
    figure = trajectory_plot(
        [Chain('g', trial('base', 8, losses, 1), None)], ['a'], METRICS
    )
    assert panels(figure)[0][1].get_ylim()[1] < 3


def test_a_trial_of_which_little_is_known_is_drawn():
    base = trial('base', 5, {2: dict(loss=1.0)}, 2)
    figure = trajectory_plot([Chain('g', base, None)], ['a'], METRICS)
    FigureCanvasAgg(figure).draw()
    assert [[2, 1.0]] in lines(panels(figure)[0][1])


@pytest.mark.parametrize('number', [1, 2, 4, 7, 24, 48])
def test_texts_and_panels_do_not_overlap(number):
    chains = [chain() for _ in range(number)]
    titles = [f'lr 0.00{i:02d}, seed 1, minimal' for i in range(number)]
    figure = trajectory_plot(chains, titles, METRICS)
    assert figure.get_figwidth() == (COLUMN if number == 1 else PAGE)
    assert figure.get_figheight() < 12
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = panels(figure)
    assert len(drawn) == number
    whole = figure.bbox
    boxes = []
    for panel in drawn:
        shown = [panel[0].title, *(axes.yaxis.label for axes in panel)]
        shown.append(panel[-1].xaxis.label)
        ticks = [t for axes in panel for t in axes.get_yticklabels()]
        low, high = zip(*(sorted(axes.get_ylim()) for axes in panel), strict=True)
        assert all(a < b for a, b in zip(low, high, strict=True))
        boxes += [t.get_window_extent() for t in shown if t.get_text()]
        boxes += [axes.get_window_extent() for axes in panel]
        for tick in ticks:
            box = tick.get_window_extent()
            assert not tick.get_visible() or box.x0 >= 0
    for box in boxes:
        assert box.x0 >= -1
        assert box.x1 <= whole.x1 + 1
        assert box.y0 >= 0
        assert box.y1 <= whole.y1
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert not one.padded(-2).overlaps(other.padded(-2))


def test_titles_break_between_hyper_parameters():
    chains = [chain() for _ in range(24)]
    figure = trajectory_plot(chains, ['lr 0.0005, seed 0, medium'] * 24, METRICS)
    lines_of_title = panels(figure)[0][0].get_title().split('\n')
    assert len(lines_of_title) > 1
    assert 'seed 0' in ' '.join(lines_of_title)
    assert not any(line.endswith('seed') for line in lines_of_title)
