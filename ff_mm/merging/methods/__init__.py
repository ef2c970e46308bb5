"""Merging methods: HOW the weights of several models are combined; a file a method."""

from ff_mm.merging.methods import (
    by_tensor,
    dare,
    fisher,
    gradient_matching,
    lines,
    mean,
    model_stock,
    regmean,
    task_arithmetic,
    ties,
    weighted,
    wise_ft,
)
from ff_mm.merging.methods.method import Members, Method, Running, Supply
from ff_mm.merging.methods.options import FACTOR, FLAG, SHARE, Number, PerMember

METHODS: dict[str, Method] = {
    'mean': Method(mean.mean, is_mean=True, ordered=False, running=mean.MeanSoFar),
    'by_tensor': Method(by_tensor.by_tensor),
    'weighted': Method(
        weighted.weighted,
        is_mean=True,
        ordered=False,
        running=weighted.WeightedSoFar,
        kinds=dict(weights=PerMember(FACTOR, complete=True)),
        weight_of=weighted.weight_of,
    ),
    'wise_ft': Method(
        wise_ft.wise_ft, needs=('origin',), ordered=False, kinds=dict(alpha=SHARE)
    ),
    'task_arithmetic': Method(
        task_arithmetic.task_arithmetic,
        needs=('origin',),
        batch_norm=task_arithmetic.leaves_the_hull,
        ordered=False,
        kinds=dict(scale=FACTOR, coefficients=PerMember()),
        by_name=True,
    ),
    'ties': Method(
        ties.ties,
        needs=('origin',),
        batch_norm=True,
        ordered=False,
        kinds=dict(keep=SHARE, scale=FACTOR),
    ),
    'dare': Method(
        dare.dare,
        needs=('origin',),
        batch_norm=dare.leaves_the_hull,
        ordered=False,
        kinds=dict(drop=SHARE, seed=Number(0, whole=True)),
        by_name=True,
    ),
    'model_stock': Method(model_stock.model_stock, needs=('origin',), ordered=False),
    'lines': Method(
        lines.lines,
        needs=('origin',),
        batch_norm=lines.leaves_the_hull,
        ordered=False,
        kinds=dict(alpha=SHARE, beta=Number()),
    ),
    'fisher': Method(
        fisher.merge_by_fisher,
        needs=('fisher',),
        ordered=False,
        kinds=dict(normalize=FLAG, floor=FACTOR),
    ),
    'gradient_matching': Method(
        gradient_matching.gradient_matching,
        needs=('origin', 'fisher'),
        batch_norm=gradient_matching.leaves_the_hull,
        ordered=False,
        kinds=dict(alpha=FACTOR, delta=FACTOR, weight_decay=FACTOR),
    ),
    'regmean': Method(
        regmean.regmean,
        needs=('gram',),
        batch_norm=True,
        ordered=False,
        kinds=dict(scale=SHARE),
    ),
}

__all__ = ['METHODS', 'Members', 'Method', 'Running', 'Supply']
