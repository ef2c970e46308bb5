# Grouping by connectivity against grouping by learning rate, on three pools: fission,
# grid search, and one of unknown origin: fission from ImageNet's weights and fission
# from random ones, mixed.
_base_ = ['./data.py', '../../../configs/_base_/comparisons/paper.py']

pools = dict(
    fgg='work_dirs/fgg/ingredients.json',
    gs='work_dirs/gs/ingredients.json',
    mixed=[
        [
            'work_dirs/fgg/ingredients.json',
            'work_dirs/fgg_scratch/ingredients.json',
        ]
    ],
)
_basins = dict(group_by='basin', basins=dict(threshold=0.1))
# The same with the metric that selects; 2 % are what Frankle et al. (2020) let pass.
_strict = dict(group_by='basin', basins=dict(threshold=0.02, metric='macro_recall'))
_kinds = dict(
    best=dict(title='best', runner_type='BestIngredientRunner'),
    uniform=dict(title='uniform', runner_type='UniformSoupRunner'),
    gou_lr=dict(
        title='GoU by learning rate',
        runner_type='GoUSoupRunner',
        soup=dict(group_by='lr'),
    ),
    gou_basin=dict(title='GoU by basin', runner_type='GoUSoupRunner', soup=_basins),
    gou_strict=dict(
        title='GoU by basin of macro recall', runner_type='GoUSoupRunner', soup=_strict
    ),
    gog_lr=dict(
        title='GoG by learning rate',
        runner_type='GoGSoupRunner',
        soup=dict(group_by='lr'),
    ),
    gog_basin=dict(title='GoG by basin', runner_type='GoGSoupRunner', soup=_basins),
    gog_strict=dict(
        title='GoG by basin of macro recall', runner_type='GoGSoupRunner', soup=_strict
    ),
)
methods = {
    f'{pool}_{name}': dict(kind, pool=pool, title=f'{pool}: {kind["title"]}')
    for pool in ('fgg', 'gs', 'mixed')
    for name, kind in _kinds.items()
}
methods['_delete_'] = True
baseline = 'fgg_best'
del _basins, _strict, _kinds
