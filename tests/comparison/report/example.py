"""A comparison with invented numbers, in the form of ``comparison.json``."""

from __future__ import annotations

from typing import Any

SETS = ('val', 'test', 'ood/elsewhere')
#: Name -> title, pool, soup, models, value on test.
METHODS = {
    'gs_best': ('GS (best)', 'gs', 'best', 1, 0.5000),
    'fgg_best': ('FGG (best)', 'fgg', 'best', 1, 0.5230),
    'fgg_gou': ('FGG + GoU', 'fgg', 'gou', 1, 0.5410),
    'fgg_gog': ('FGG + GoG', 'fgg', 'gog', 1, 0.5610),
    'fgg_ensemble': ('FGG, logit ensemble', 'fgg', 'ensemble', 24, 0.5790),
}
MANY = METHODS | {
    'gs_uniform': ('GS + uniform', 'gs', 'uniform', 1, 0.3100),
    'gs_greedy': ('GS + greedy', 'gs', 'greedy', 1, 0.5025),
    'gs_gou': ('GS + GoU', 'gs', 'gou', 1, 0.5120),
    'gs_gog': ('GS + GoG', 'gs', 'gog', 1, 0.5110),
    'gs_augmentation': ('GS + GoG (augmentation on top)', 'gs', 'gog', 1, 0.5180),
    'fgg_uniform': ('FGG + uniform', 'fgg', 'uniform', 1, 0.4100),
    'fgg_greedy': ('FGG + greedy', 'fgg', 'greedy', 1, 0.5590),
    'gs_ensemble': ('GS, logit ensemble', 'gs', 'ensemble', 24, 0.5570),
}
GENERATION = {
    'gs': dict(trials=24, epochs=240.0, seconds=7500.0, images=560160.0),
    'fgg': dict(trials=9, epochs=56.0, seconds=1799.0, images=130704.0),
}


def comparison(
    methods: dict[str, tuple] = METHODS,
    sets: tuple[str, ...] = SETS,
    runs: int = 1,
    **changed: Any,
) -> dict[str, Any]:
    """Makes a comparison.

    Args:
        methods: As :data:`METHODS`; the first is the baseline.
        sets: Names of the sets.
        runs: How many of each method.
        **changed: Keys of the comparison that are to be others.
    """
    baseline = next(iter(methods))
    made = dict(
        format=1,
        title='invented_tiny',
        metric='macro_recall',
        rule='greater',
        confidence=0.95,
        resamples=2000,
        baseline=baseline,
        sets={name: _set(name) for name in sets},
        methods={
            name: _method(name, method, sets, runs, name == baseline)
            for name, method in methods.items()
        },
        delong={'test': [_delong(name, name == baseline) for name in methods]},
        recommendation=_recommendation(sets),
        published=None,
        environment=dict(ff_mm='0.1', torch='2.6.0', threads=1, device='cpu'),
    )
    return made | changed


def _set(name: str) -> dict[str, Any]:
    groups = 290 if name == 'test' else None
    classes = dict(mel=40, nv=200, bcc=92, df=1)
    return dict(cases=333, groups=groups, redrawn=12, may_lack=['df'], classes=classes)


def _method(
    name: str, method: tuple, sets: tuple[str, ...], runs: int, is_baseline: bool
) -> dict[str, Any]:
    title, pool, soup, models, value = method
    values = {s: value - 0.06 * i + 0.04 for i, s in enumerate(sets)}
    ingredients = [dict(name=f'{pool}_a', weight=0.75), dict(name='b', weight=0.25)]
    run = dict(
        pool_file=f'work_dirs/{pool}/ingredients.json',
        file=None if models > 1 else f'{name}/run0/soup.pth',
        ingredients=ingredients,
        pool_size=24,
        metrics={
            s: {'macro_recall': v, 'accuracy': v + 0.1, 'recall/mel': v / 2}
            for s, v in values.items()
        },
    )
    results = {
        s: {
            'macro_recall': _result(v, runs, is_baseline, value - 0.5),
            'accuracy': _result(v + 0.1, runs, is_baseline, value - 0.5),
        }
        for s, v in values.items()
    }
    cost = dict(
        generation=dict(GENERATION[pool]),
        selection=dict(seconds=12.34, passes=20.0, images=4000.0),
        inference=dict(
            models=models, parameters=3379719 * models, bytes=13600000 * models
        ),
    )
    return dict(
        title=title,
        pool=pool,
        soup=soup,
        models=models,
        runs=[run] * runs,
        results=results,
        cost=cost,
    )


def _result(
    value: float, runs: int, is_baseline: bool, difference: float
) -> dict[str, Any]:
    return dict(
        value=value,
        sd=0.0123 if runs > 1 else None,
        low=value - 0.041,
        high=value + 0.039,
        undefined=0,
        difference=None
        if is_baseline
        else dict(
            value=difference,
            low=difference - 0.03,
            high=difference + 0.03,
            p=0.0004 if abs(difference) > 0.05 else 0.2345,
        ),
    )


def _delong(name: str, is_baseline: bool) -> dict[str, Any]:
    entry = {'class': 'mel', 'method': name, 'auroc': 0.8, 'low': 0.75, 'high': 0.85}
    keys = ('difference', 'difference_low', 'difference_high', 'p')
    values = [None] * 4 if is_baseline else [0.02, -0.01, 0.05, 0.19]
    return entry | dict(zip(keys, values, strict=True))


def _recommendation(sets: tuple[str, ...]) -> dict[str, Any]:
    measured = dict(value=0.561, low=0.52, high=0.6)
    difference = dict(value=0.061, low=0.031, high=0.091, p=0.0004)
    others = [name for name in sets if name != 'val']
    return dict(
        method='fgg_gog',
        title='FGG + GoG',
        run=0,
        file='work_dirs/compare_invented_tiny/fgg_gog/run0/soup.pth',
        val=0.601,
        candidates=4,
        results={name: measured for name in others},
        best_single='gs_best',
        best_single_title='GS (best)',
        differences={name: difference for name in others},
        text=['FGG + GoG has the best macro_recall on validation.', 'On test: 0.5610.'],
    )
