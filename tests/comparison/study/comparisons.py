"""Comparisons of models that nobody trained, as tools/compare.py leaves them."""

from __future__ import annotations

from model_outputs import of_classes

from ff_mm.comparison.comparison import Comparison, Run
from ff_mm.comparison.method import Method
from ff_mm.comparison.resamples import RESAMPLES_FILE
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.files import sha256, write_json

#: Method -> how good its models are.
SKILLS = dict(best=1.0, soup=1.6, ensemble=2.4, bad=0.4)
SETS = ('val', 'test', 'ood/elsewhere')
RULES = dict(accuracy='greater', macro_recall='greater', auroc='greater', loss='less')
EVALUATOR = [
    dict(type='MulticlassMetric', items=['accuracy', 'macro_recall']),
    dict(type='AUROC'),
    dict(type='ValidationLoss'),
]


def comparison(
    seed=0, runs=1, skills=SKILLS, sets=SETS, resamples=200, metric='macro_recall'
):
    """A comparison; the seed decides the cases and what is said of them."""
    metrics = PredictionMetrics(EVALUATOR, dict(classes=('a', 'b', 'c')))
    return Comparison(
        title=f'invented{seed}',
        methods=[Method(name, name.title(), 'fgg') for name in skills],
        runs={
            name: [
                _run(name, skill, seed, 10 * list(SKILLS).index(name) + n, sets)
                for n in range(runs)
            ]
            for name, skill in skills.items()
        },
        metrics=dict.fromkeys(sets, metrics),
        metric=metric,
        rule=RULES[metric],
        baseline='best',
        bootstrap=dict(resamples=resamples, confidence=0.95, seed=0),
        size=dict(parameters=10, bytes=40),
        rules=RULES,
    )


def write(folder, **options):
    """Writes such a comparison; returns the folder."""
    made = comparison(**options)
    folder.mkdir(parents=True, exist_ok=True)
    made.resamples().save(folder / RESAMPLES_FILE)
    resampled = sha256(folder / RESAMPLES_FILE)
    write_json(dict(made.describe(), resampled=resampled), folder / 'comparison.json')
    return folder


def _run(name, skill, seed, model, sets):
    return Run(
        source='ingredients.json',
        soup='ensemble' if name == 'ensemble' else 'best',
        recipe=dict(a=0.5, b=0.5),
        pool_size=2,
        file=None if name == 'ensemble' else 'soup.pth',
        models=2 if name == 'ensemble' else 1,
        generation=dict(trials=2, epochs=10.0 + seed, seconds=60.0),
        selection=dict(seconds=1.0, passes=model, images=20),
        predictions={
            split: of_classes(
                seed=100 * seed + number, model=model, skill=skill, cases=50
            )
            for number, split in enumerate(sets)
        },
    )
