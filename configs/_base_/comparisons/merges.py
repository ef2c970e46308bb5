# All soups and merges that need no plan of their own, on one pool; see
# docs/merges_and_soups.md. In place of paper.py among the bases of a comparison, with
#     pools = dict(fgg='work_dirs/fgg_X/ingredients.json')
# Lists of numbers are tried on validation, which is counted as selection; other ones by
#     --cfg-options methods.ties.soup.merge.scale=[0.5,1.0]
# Leave one out with methods.ties=None.
_base_ = '../evaluation.py'

runner_type = 'ComparisonRunner'

methods = dict(
    best=dict(title='best single', pool='fgg', runner_type='BestIngredientRunner'),
    # Soups: which ingredients go in. All of these by the mean.
    uniform=dict(title='uniform', pool='fgg', runner_type='UniformSoupRunner'),
    greedy=dict(title='greedy', pool='fgg', runner_type='GreedySoupRunner'),
    gou=dict(
        title='GoU', pool='fgg', runner_type='GoUSoupRunner', soup=dict(group_by='lr')
    ),
    gog=dict(
        title='GoG', pool='fgg', runner_type='GoGSoupRunner', soup=dict(group_by='lr')
    ),
    pruned=dict(title='pruned', pool='fgg', runner_type='PrunedSoupRunner'),
    ensemble_selection=dict(
        title='ensemble selection', pool='fgg', runner_type='EnsembleSelectionRunner'
    ),
    learned=dict(title='learned', pool='fgg', runner_type='LearnedSoupRunner'),
    # Merges: how weights are combined. All of these of all ingredients.
    wise_ft=dict(
        title='WiSE-FT',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge=dict(type='wise_ft', alpha=[0.5, 0.7, 0.9])),
    ),
    task_arithmetic=dict(
        title='task arithmetic',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge=dict(type='task_arithmetic', scale=[1.0, 0.5, 0.8, 1.2, 1.5])),
    ),
    ties=dict(
        title='TIES',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(
            merge=dict(type='ties', keep=[0.2, 1.0], scale=[1.0, 0.3, 0.5, 0.8, 1.2])
        ),
    ),
    model_stock=dict(
        title='Model Stock',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge='model_stock'),
    ),
    dare=dict(
        title='DARE',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge=dict(type='dare', drop=[0.5, 0.9])),
    ),
    lines=dict(
        title='LiNeS',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge=dict(type='lines', alpha=[0.5, 0.2, 0.8])),
    ),
    # These look at training images; soup.statistics says at how many.
    fisher=dict(
        title='Fisher',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge='fisher', statistics=dict(num_samples=256, labels='sampled')),
    ),
    gradient_matching=dict(
        title='gradient matching',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(
            merge='gradient_matching',
            statistics=dict(num_samples=256, labels='sampled'),
        ),
    ),
    regmean=dict(
        title='RegMean',
        pool='fgg',
        runner_type='UniformSoupRunner',
        soup=dict(merge='regmean', statistics=dict(num_samples=256)),
    ),
    # Both: a greedy soup of soups by a merge.
    gou_ties=dict(
        title='GoU by TIES',
        pool='fgg',
        runner_type='GoUSoupRunner',
        soup=dict(group_by='lr', merge=dict(type='ties', scale=[1.0, 0.5])),
    ),
    ensemble=dict(title='logit ensemble', pool='fgg', ensemble=True),
)
# Differences are taken to this one.
baseline = 'best'

# Paired, over cases; by patient or lesion where the data set knows them.
bootstrap = dict(resamples=2000, confidence=0.95, seed=0)

published = dict()
