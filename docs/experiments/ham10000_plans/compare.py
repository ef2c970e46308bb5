# What the plans have left, against the best of fission on the same images. An average
# is a file of its own, so each is a pool of one.
_base_ = [
    '../what_helps/ham10000/data.py',
    '../../../configs/_base_/evaluation.py',
]

runner_type = 'ComparisonRunner'

pools = dict(
    base='work_dirs/swa/ingredients/base_lr0.001.pth',
    ema='work_dirs/swa/ingredients/base_lr0.001_ema.pth',
    lawa='work_dirs/swa/ingredients/base_lr0.001_lawa.pth',
    swad='work_dirs/swa/ingredients/base_lr0.001_swad.pth',
    swa='work_dirs/swa/ingredients/swa_lr0.001_swa.pth',
    fge='work_dirs/fge/ingredients.json',
    sparse='work_dirs/sparse/ingredients.json',
    fission='work_dirs/fgg/ingredients.json',
)
_best = dict(runner_type='BestIngredientRunner')
methods = dict(
    base=dict(_best, title='base', pool='base'),
    ema=dict(_best, title='EMA of the base', pool='ema'),
    lawa=dict(_best, title='LAWA of the base', pool='lawa'),
    swad=dict(_best, title='SWAD of the base', pool='swad'),
    swa=dict(_best, title='SWA', pool='swa'),
    fge_best=dict(_best, title='FGE (best)', pool='fge'),
    fge_uniform=dict(
        title='FGE + uniform', pool='fge', runner_type='UniformSoupRunner'
    ),
    fge=dict(title='FGE, logit ensemble', pool='fge', ensemble=True),
    sparse_best=dict(_best, title='sparse, 90 % (best)', pool='sparse'),
    sparse=dict(
        title='sparse soup, 90 %',
        pool='sparse',
        runner_type='UniformSoupRunner',
        soup=dict(bn_reestimation=dict(num_samples=1178)),
    ),
    fission=dict(_best, title='FGG (best)', pool='fission'),
    fission_gog=dict(
        title='FGG + GoG',
        pool='fission',
        runner_type='GoGSoupRunner',
        soup=dict(group_by='lr'),
    ),
)
baseline = 'base'
bootstrap = dict(resamples=2000, confidence=0.95, seed=0)
published = dict()
