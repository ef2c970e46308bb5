# From a pool to the one model to deploy, by tools/fuse.py; see docs/fuse.md. A config
# says
#     pool = 'work_dirs/fgg_X/ingredients.json'
_base_ = ['./evaluation.py', './schedules/distill.py']

runner_type = 'FuseRunner'

# What is tried, the plainest first: of equal ones the first is taken. Anything that a
# soup runner makes is one, with soup and selection as in a comparison; None leaves one
# out.
fusions = dict(
    best=dict(title='best single', runner_type='BestIngredientRunner'),
    # Single models by the soft score of the metric that selects, if it has one.
    soft=dict(
        title='best single by its soft score',
        runner_type='BestIngredientRunner',
        selection=dict(metric='soft'),
    ),
    bou=dict(
        title='best of uniform runs',
        runner_type='BoUSoupRunner',
        soup=dict(bn_reestimation=dict(candidates=True)),
    ),
    greedy=dict(title='greedy', runner_type='GreedySoupRunner'),
)
# The best single model, with which the chosen one is compared.
baseline = 'best'

# Fitted on validation after each fusion, and part of its file; see docs/decision.md.
# None: no decision. With a prior correction and students (budget) this is what was best
# in docs/experiments/what_helps/.
decision = 'prior'

# Epochs in which the pool is distilled into one network, by plan; 0: not. --budget 10
budget = 0
# By which metric a student's best epoch is kept. 'fitting': by the metric that selects;
# by the loss, as in that study, if a decision follows, which is made of probabilities.
plan = dict(student=dict(monitor='fitting', rule=None))

# Have the logit ensemble of all beside, at as many passes as there are models.
ensemble = True

# By patient or lesion where the data set knows them.
bootstrap = dict(resamples=2000, confidence=0.95, seed=0)
