# Greedy of uniform with groups by connectivity instead of a hyper-parameter: basins,
# between whose models there is hardly a loss barrier. For a pool of which nobody knows
# how it was trained; it goes beyond the paper.
_base_ = '../evaluation.py'

runner_type = 'GoUSoupRunner'
soup = dict(
    group_by='basin',
    # Within a basin no two models have a barrier of the loss above this: a tenth of a
    # nat. tools/analysis_tools/lmc.py shows what there is. The other keys are those of
    # BasinOptions in ff_mm/fusion/basins.py.
    basins=dict(threshold=0.1),
)
