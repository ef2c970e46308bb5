"""A model that ff_mm has never heard of, from fission to its soups, by config only."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from foreign import Curve, foreign_config, loader
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS, RUNNERS
from mmengine.runner import Runner, set_random_seed

from ff_mm.datasets.errors import DatasetError
from ff_mm.errors import ConfigError
from ff_mm.fusion.soup_file import DEPLOY_FILE, SOUP_FILE

ENDLESS = dict(type='InfiniteSampler')
SOUPS = ('BestIngredient', 'UniformSoup', 'GreedySoup', 'GoUSoup', 'GoGSoup')


class StoppedError(Exception):
    """In the place of a kill."""


@HOOKS.register_module()
class StopsOnce(Hook):
    """Ends the third training run of a plan in its second epoch, the first time."""

    begun = 0
    stops = False

    def before_train(self, runner):
        StopsOnce.begun += 1

    def before_train_epoch(self, runner):
        if StopsOnce.stops and StopsOnce.begun == 3 and runner.epoch == 1:
            StopsOnce.stops = False
            raise StoppedError


def generate(folder, **changes):
    return RUNNERS.build(Config(foreign_config(folder, **changes))).train()


def soup(pool, kind, folder, **changes):
    named = dict(runner_type=f'{kind}Runner', ingredients=str(pool), soup={})
    return RUNNERS.build(Config(foreign_config(folder, **{**named, **changes}))).run()


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp('foreign') / 'plan'
    generate(folder)
    return folder / 'ingredients.json'


def by_stock_mmengine(folder, seed):
    """The squared error of a soup in a process that knows nothing of ff_mm."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import foreign, torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
cfg = Config.fromfile({str(folder / DEPLOY_FILE)!r})
init_default_scope(cfg.default_scope)
model = MODELS.build(cfg.model).eval()
file = torch.load({str(folder / SOUP_FILE)!r}, weights_only=True)
model.load_state_dict(file['state_dict'])
cases = foreign.Curve(seed={seed})
x, y = (torch.stack(values) for values in zip(*cases))
said, truth = model(x, y, mode='predict')
assert 'ff_mm' not in sys.modules
print(float(((said - truth) ** 2).mean()))
"""
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.parametrize('kind', SOUPS)
def test_a_foreign_model_is_souped_and_deployed(pool, kind, tmp_path):
    report = soup(pool, kind, tmp_path)
    best = min(
        entry['metrics']['curve/mse']
        for entry in json.loads(pool.read_text())['ingredients']
    )
    if kind != 'UniformSoup':  # which takes all, be they good or not
        assert report['val']['curve/mse'] <= best * (1.5 if kind == 'GoUSoup' else 1)
    assert report['ood']['shifted']['curve/mse'] > report['test']['curve/mse']
    if kind == 'GoUSoup':
        found = by_stock_mmengine(tmp_path, seed=2)
        assert found == pytest.approx(report['test']['curve/mse'], rel=1e-5)


def test_what_was_measured_at_training_is_what_evaluation_gives(pool, tmp_path):
    entries = json.loads(pool.read_text())['ingredients']
    cfg = Config(foreign_config(tmp_path))
    file = pool.parent / 'ingredients' / Path(entries[0]['file']).name
    runner = Runner.from_cfg(_tested(cfg, file))
    found = runner.test()
    assert found['curve/mse'] == pytest.approx(entries[0]['metrics']['curve/mse'])


def _tested(cfg, file):
    cfg = copy.deepcopy(cfg)
    for key in ('plan', 'runner_type', 'optim_wrapper', 'train_cfg'):
        cfg.pop(key)
    cfg.pop('train_dataloader')
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg.pop(key)
    cfg.test_dataloader = Config(loader(False, seed=1))._cfg_dict
    cfg.load_from = str(file)
    return cfg


def test_an_interrupted_plan_ends_as_an_unbroken_one(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(StopsOnce, 'begun', 0)
    monkeypatch.setattr(StopsOnce, 'stops', True)
    changes = dict(custom_hooks=[dict(type='StopsOnce')])
    with pytest.raises(StoppedError):
        generate(tmp_path, **changes)
    again = generate(tmp_path, **changes)
    expected = json.loads(pool.read_text())
    assert [e['sha256'] for e in again['ingredients']] == [
        e['sha256'] for e in expected['ingredients']
    ]


def test_a_probe_trains_the_part_that_the_task_names(tmp_path):
    cfg = foreign_config(tmp_path, task=dict(type='Task', heads=['last']))
    cfg['plan'] = dict(cfg['plan'], fission=None, lrs=[1e-2])
    cfg['plan']['probe'] = dict(epochs=1, monitor='curve/mse')
    RUNNERS.build(Config(cfg)).train()
    (start,) = (tmp_path / 'origin').glob('*.pth')
    probed = torch.load(start, weights_only=True)['state_dict']
    # The frozen part is as it was made, but for what batch norm has seen.
    set_random_seed(0)
    plain = MODELS.build(dict(type='CurveFit')).state_dict()
    assert list(probed) == list(plain)
    same = [key for key in plain if torch.equal(probed[key], plain[key])]
    assert {'body.0.weight', 'body.0.bias', 'body.1.weight'} <= set(same)
    assert not {'last.weight', 'last.bias', 'body.1.running_mean'} & set(same)


def test_a_probe_without_a_named_head_is_refused_with_the_remedy(tmp_path):
    cfg = foreign_config(tmp_path)
    cfg['plan'] = dict(cfg['plan'], probe=dict(epochs=1, monitor='curve/mse'))
    with pytest.raises(ConfigError, match=r"\['body', 'last'\].*plan\.probe\.freeze"):
        RUNNERS.build(Config(cfg)).train()


def test_a_set_may_have_metrics_of_its_own(pool, tmp_path):
    own = dict(
        dataset=dict(shift=0.5), evaluator=dict(type='SquaredError', prefix='far')
    )
    sets = dict(shifted=own, noisy=dict(dataset=dict(seed=7)))
    report = soup(pool, 'BestIngredient', tmp_path, ood_dataloaders=sets)
    assert 'far/mse' in report['ood']['shifted']
    assert 'curve/mse' in report['ood']['noisy']


def test_data_that_have_changed_are_noticed_when_a_plan_goes_on(tmp_path, monkeypatch):
    generate(tmp_path)
    monkeypatch.setattr(Curve, 'noise', 0.2)  # as if a file had been replaced
    with pytest.raises(DatasetError, match='the data sets are not those'):
        generate(tmp_path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=9)),
            'a plan counts in epochs, train_cfg in iterations; give train_cfg=dict',
        ),
        (
            dict(
                train_dataloader=dict(
                    loader(True), sampler=dict(type='InfiniteSampler')
                )
            ),
            'an epoch has no end',
        ),
        (dict(class_balance=dict(type='sampling')), 'class_balance: needs the prob'),
        (
            dict(plan=dict(type='DistillationPlan', pool='p.json')),
            "plan.type='DistillationPlan': needs the prob",
        ),
    ],
)
def test_what_a_plan_cannot_do_with_it_is_said_before_any_training(
    changes, message, tmp_path
):
    with pytest.raises(ConfigError, match=message):
        generate(tmp_path, **changes)
    assert not (tmp_path / 'trials').exists()


@pytest.mark.parametrize(
    ('kind', 'options', 'what'),
    [
        ('Ensemble', {}, 'EnsembleRunner'),
        ('EnsembleSelection', {}, 'ensemble_selection'),
        ('LearnedSoup', {}, 'learned'),
        ('FoldSoup', {}, 'FoldSoupRunner'),
        ('GreedySoup', dict(accept=0.9), 'soup.accept'),
        ('GreedySoup', dict(decision=[dict(type='temperature')]), 'decision'),
        ('UniformSoup', dict(merge='fisher'), 'fisher'),
    ],
)
def test_soups_of_probabilities_are_refused_before_anything_is_read(
    kind, options, what, tmp_path
):
    kind = f'{kind}Runner' if not kind.endswith('Runner') else kind
    cfg = foreign_config(
        tmp_path, runner_type=kind, soup=options, ingredients='not_there.json'
    )
    with pytest.raises(ConfigError, match=f'{what}.*needs the probability'):
        RUNNERS.build(Config(cfg))


def test_tables_show_metrics_whose_names_all_have_a_prefix(pool, tmp_path):
    soup(pool, 'BestIngredient', tmp_path)
    text = (tmp_path / 'report.md').read_text()
    assert 'curve/mse' in text
