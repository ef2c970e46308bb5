# FedSoup's global model and those of its clients, against the pool over the same four
# sources that was trained without talking to each other.
_base_ = [
    '../ham10000_sources/data.py',
    '../../../configs/_base_/evaluation.py',
]

runner_type = 'ComparisonRunner'

_client = 'work_dirs/fedsoup/ingredients/round4_{}.pth'
pools = dict(
    everywhere='work_dirs/fedsoup/ingredients/fedsoup_global.pth',
    vidir_modern=_client.format('vidir_modern'),
    vidir_molemax=_client.format('vidir_molemax'),
    vienna_dias=_client.format('vienna_dias'),
    rosendahl=_client.format('rosendahl'),
    alone='work_dirs/ham10000_sources/ingredients.json',
)
_best = dict(runner_type='BestIngredientRunner')
methods = dict(
    everywhere=dict(_best, title='FedSoup, global', pool='everywhere'),
    vidir_modern=dict(_best, title='client vidir_modern', pool='vidir_modern'),
    vidir_molemax=dict(_best, title='client vidir_molemax', pool='vidir_molemax'),
    vienna_dias=dict(_best, title='client vienna_dias', pool='vienna_dias'),
    rosendahl=dict(_best, title='client rosendahl', pool='rosendahl'),
    alone=dict(_best, title='alone (best)', pool='alone'),
    alone_uniform=dict(
        title='alone + uniform', pool='alone', runner_type='UniformSoupRunner'
    ),
    alone_greedy=dict(
        title='alone + greedy', pool='alone', runner_type='GreedySoupRunner'
    ),
)
baseline = 'everywhere'
bootstrap = dict(resamples=2000, confidence=0.95, seed=0)
published = dict()
