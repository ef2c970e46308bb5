# The rules of the study, each a method; the same ones for all settings. A setting's
# compare.py says the pools; methods of one that is None are left out.
_base_ = '../../../configs/_base_/evaluation.py'

runner_type = 'ComparisonRunner'

# The smooth score with the goal of selection.metric: soft_accuracy where that is
# accuracy.
soft_score = 'soft_macro_recall'

_soft = dict(metric='${soft_score}', rule='greater')
_loss = dict(metric='loss', rule='less')
# Batch norm of each candidate is re-estimated before it is evaluated.
_bn = dict(bn_reestimation=dict(candidates=True))
_best = dict(pool='fgg', runner_type='BestIngredientRunner')
_greedy = dict(pool='fgg', runner_type='GreedySoupRunner')
# The best of uniform soups of a run each.
_runs = dict(pool='fgg', runner_type='BoUSoupRunner', soup=_bn)
_student = dict(pool='distilled', runner_type='BestIngredientRunner')

methods = dict(
    best=dict(_best, title='best single'),
    best_loss=dict(_best, title='best single by loss', selection=_loss),
    best_soft=dict(_best, title='best single by soft score', selection=_soft),
    greedy=dict(_greedy, title='greedy'),
    greedy_soft=dict(_greedy, title='greedy by soft score', selection=_soft),
    greedy_margin=dict(_greedy, title='greedy with a margin', soup=dict(accept=0.9)),
    gou=dict(
        title='GoU', pool='fgg', runner_type='GoUSoupRunner', soup=dict(group_by='lr')
    ),
    gog=dict(
        title='GoG', pool='fgg', runner_type='GoGSoupRunner', soup=dict(group_by='lr')
    ),
    uniform=dict(title='uniform', pool='fgg', runner_type='UniformSoupRunner'),
    uniform_bn=dict(
        title='uniform, BN re-estimated',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=_bn,
    ),
    runs_bn=dict(_runs, title='best of averaged runs, BN re-estimated'),
    runs_bn_soft=dict(
        _runs, title='best of averaged runs, BN, by soft score', selection=_soft
    ),
    runs_bn_loss=dict(
        _runs, title='best of averaged runs, BN, by loss', selection=_loss
    ),
    ensemble_selection=dict(
        title='ensemble selection', pool='fgg', runner_type='EnsembleSelectionRunner'
    ),
    best_prior=dict(_best, title='best single + prior', soup=dict(decision='prior')),
    runs_bn_prior=dict(
        _runs,
        title='best of averaged runs, BN + prior',
        soup=dict(_bn, decision='prior'),
    ),
    student=dict(_student, title='student of the ensemble'),
    student_prior=dict(_student, title='student + prior', soup=dict(decision='prior')),
    labels_only=dict(
        title='student by labels only',
        pool='labels_only',
        runner_type='BestIngredientRunner',
    ),
    ensemble=dict(title='logit ensemble', pool='fgg', ensemble=True),
)
baseline = 'best'
del _soft, _loss, _bn, _best, _greedy, _runs, _student

bootstrap = dict(resamples=2000, confidence=0.95, seed=0)
published = dict()
