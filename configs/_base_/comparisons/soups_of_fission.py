# The soups of one pool of fission beside its best model. Without ensembles, so also for
# models that say more of a case than a probability of each class, as masks.
_base_ = '../evaluation.py'

runner_type = 'ComparisonRunner'

methods = dict(
    fgg_best=dict(title='FGG (best)', pool='fgg', runner_type='BestIngredientRunner'),
    fgg_uniform=dict(
        title='FGG + uniform', pool='fgg', runner_type='UniformSoupRunner'
    ),
    fgg_greedy=dict(title='FGG + greedy', pool='fgg', runner_type='GreedySoupRunner'),
    fgg_gou=dict(
        title='FGG + GoU',
        pool='fgg',
        runner_type='GoUSoupRunner',
        soup=dict(group_by='lr'),
    ),
    fgg_gog=dict(
        title='FGG + GoG',
        pool='fgg',
        runner_type='GoGSoupRunner',
        soup=dict(group_by='lr'),
    ),
)
baseline = 'fgg_best'

# Paired, over cases; by patient or lesion where the data set knows them.
bootstrap = dict(resamples=2000, confidence=0.95, seed=0)
published = dict()
