# The methods of the paper (FissionFusion, Table 1 and appendix A1), and logit ensembles
# of all models as the expensive upper reference. Leave one out with
#     --cfg-options methods.gs_uniform=None
# and all that a pool is needed for with pools.gs=None baseline=fgg_best.
_base_ = '../evaluation.py'

runner_type = 'ComparisonRunner'

methods = dict(
    gs_best=dict(title='GS (best)', pool='gs', runner_type='BestIngredientRunner'),
    gs_uniform=dict(title='GS + uniform', pool='gs', runner_type='UniformSoupRunner'),
    gs_greedy=dict(title='GS + greedy', pool='gs', runner_type='GreedySoupRunner'),
    gs_gou=dict(
        title='GS + GoU',
        pool='gs',
        runner_type='GoUSoupRunner',
        soup=dict(group_by='lr'),
    ),
    gs_gog=dict(
        title='GS + GoG',
        pool='gs',
        runner_type='GoGSoupRunner',
        soup=dict(group_by='lr'),
    ),
    gs_augmentation=dict(
        title='GS + GoG (augmentation at the top)',
        pool='gs',
        runner_type='GoGSoupRunner',
        soup=dict(group_by='augmentation'),
    ),
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
    gs_ensemble=dict(title='GS, logit ensemble', pool='gs', ensemble=True),
    fgg_ensemble=dict(title='FGG, logit ensemble', pool='fgg', ensemble=True),
)
# Differences are taken to this one.
baseline = 'gs_best'

# Paired, over cases; by patient or lesion where the data set knows them.
bootstrap = dict(resamples=2000, confidence=0.95, seed=0)

# Results of the paper to stand beside: dict(backbone='ResNet50', dataset='HAM10000').
published = dict()
