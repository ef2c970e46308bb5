from __future__ import annotations

import copy
import csv
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mmengine.registry import HOOKS, RUNNERS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ff_mm.analysis.overlays.overlay_runner import OverlayRunner
from ff_mm.display.console import make_console
from ff_mm.errors import ConfigError
from ff_mm.files import read_json, sha256
from ff_mm.fission.pool_plot import pool_plot, pool_rows
from ff_mm.tracking import MLflowTracker, Tracking, add_trackers, without_trackers

BASE, FISSION = 'base_lr0.01', 'fission_lr0.01'
SHORT = dict(
    plan__lrs=[1e-2],
    plan__probe__epochs=1,
    plan__base__epochs=3,
    custom_hooks=[dict(type='Interrupt')],
)


@pytest.fixture(scope='module')
def uri(tmp_path_factory):
    """A database of MLflow, which it takes seconds to make."""
    return f'sqlite:///{tmp_path_factory.mktemp("mlflow")}/mlflow.db'


def logged(cfg, uri, *names):
    """The config, logged to trackers that keep files in the work directory."""
    options = dict(
        tensorboard=dict(type='TensorboardVisBackend'),
        mlflow=dict(
            type='MLflowVisBackend',
            tracking_uri=uri,
            artifact_location=(Path(cfg.work_dir) / 'artifacts').as_uri(),
        ),
        wandb=dict(
            type='WandbVisBackend',
            init_kwargs=dict(mode='offline', project='tests'),
        ),
    )
    local = dict(type='LocalVisBackend')
    cfg.visualizer.vis_backends = [local, *(options[name] for name in names)]
    return cfg


def train(cfg):
    return RUNNERS.build(cfg).train()


def digests(work_dir):
    files = sorted((Path(work_dir) / 'ingredients').rglob('*.pth'))
    return {file.name: sha256(file) for file in files}


def tensorboard(work_dir, run):
    events = EventAccumulator(str(Path(work_dir) / 'tracking' / run))
    events.Reload()
    return events


def scalars(work_dir, run, tag):
    return [(e.step, e.value) for e in tensorboard(work_dir, run).Scalars(tag)]


def text_of(events, name):
    proto = events.Tensors(f'{name}/text_summary')[-1].tensor_proto
    return proto.string_val[0].decode()


def runs_of(uri, experiment):
    """The runs of MLflow by name; none has a namesake."""
    client = MlflowClient(uri)
    found = client.search_runs(
        [client.get_experiment_by_name(experiment).experiment_id]
    )
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found)
    return runs


def artifact(run, name):
    path = Path(run.info.artifact_uri.removeprefix('file://')) / name
    return path.read_text(encoding='utf-8')


def table(run, name):
    return list(csv.DictReader(artifact(run, name).splitlines()))


@pytest.fixture(scope='module')
def plain(tmp_path_factory, generation_config):
    """A plan that is logged nowhere."""
    cfg = generation_config(tmp_path_factory.mktemp('plain'), **SHORT)
    train(cfg)
    return cfg


@pytest.fixture(scope='module')
def plan(tmp_path_factory, generation_config, uri):
    """The same plan on all trackers, interrupted twice."""
    interrupt = HOOKS.get('Interrupt')
    cfg = generation_config(tmp_path_factory.mktemp('logged') / 'skin', **SHORT)
    logged(cfg, uri, 'tensorboard', 'mlflow', 'wandb')
    for moment in ((BASE, 2, 'validation'), (FISSION, 3, 'training')):
        interrupt.moment = moment
        with pytest.raises(KeyboardInterrupt):
            train(copy.deepcopy(cfg))
    train(copy.deepcopy(cfg))
    return cfg


def test_without_trackers_nothing_of_them_is_left(plain):
    names = {path.name for path in Path(plain.work_dir).iterdir()}
    assert not names & {'tracking', 'tracking.json'}


def test_what_is_trained_is_bit_for_bit_what_it_is_without(plain, plan):
    assert digests(plan.work_dir) == digests(plain.work_dir)


def test_tensorboard_has_a_run_a_trial_and_each_step_once(plan):
    there = {path.name for path in (Path(plan.work_dir) / 'tracking').iterdir()}
    assert there == {'plan', 'probe', BASE, FISSION, 'wandb'}
    # Interrupted in its second epoch, which is told from its beginning again.
    accuracy = scalars(plan.work_dir, BASE, 'val/accuracy')
    assert [step for step, _ in accuracy] == [1, 2, 3]
    steps = [step for step, _ in scalars(plan.work_dir, BASE, 'train/lr')]
    assert len(steps) == 3 and steps == sorted(set(steps))
    assert len(scalars(plan.work_dir, BASE, 'train/loss')) == 3


def test_the_models_that_a_trial_leaves_are_marked_at_their_epochs(plan):
    entries = read_json(Path(plan.work_dir) / 'ingredients.json')['ingredients']
    base, *snapshots = (
        (entry['epoch'], pytest.approx(entry['metrics']['accuracy']))
        for entry in entries
    )
    assert scalars(plan.work_dir, BASE, 'model/val/accuracy') == [base]
    assert scalars(plan.work_dir, FISSION, 'model/val/accuracy') == snapshots
    assert len(snapshots) == 2


def test_the_plan_is_a_run_with_a_table_of_trials_and_a_plot(plan):
    events = tensorboard(plan.work_dir, 'plan')
    assert 'models_by_learning_rate' in events.Tags()['images']
    text = text_of(events, 'trials')
    assert all(trial in text for trial in ('probe', BASE, FISSION))
    config = text_of(events, 'config').splitlines()
    assert all(line.startswith('    ') for line in config)  # as code
    assert any("type='FGGPlan'" in line for line in config)


def test_mlflow_goes_on_with_the_run_of_an_interrupted_trial(plan, uri):
    runs = runs_of(uri, 'skin')
    assert set(runs) == {'plan', 'probe', BASE, FISSION}
    assert {run.info.status for run in runs.values()} == {'FINISHED'}
    for name in ('probe', BASE, FISSION):
        parent = runs[name].data.tags['mlflow.parentRunId']
        assert parent == runs['plan'].info.run_id
    params = dict(stage='base', lr='0.01', seed='0', augmentation='medium')
    assert runs[BASE].data.params == params
    assert 'work_dir' in artifact(runs[BASE], 'config.py')


def test_mlflow_has_the_trials_as_a_table_and_the_plot(plan, uri):
    run = runs_of(uri, 'skin')['plan']
    rows = {row['trial']: row for row in table(run, 'trials.csv')}
    assert list(rows) == ['probe', BASE, FISSION]
    entries = read_json(Path(plan.work_dir) / 'ledger.json')['trials']
    for entry in entries:
        row = rows[entry['id']]
        assert float(row['accuracy']) == entry['metrics']['accuracy']
        assert (row['state'], row['epochs']) == ('done', str(entry['epochs']))
    files = MlflowClient(uri).list_artifacts(run.info.run_id)
    assert 'models_by_learning_rate.png' in [file.path for file in files]


def test_wandb_keeps_a_run_a_trial_of_one_id(plan):
    folder = Path(plan.work_dir) / 'tracking' / 'wandb'
    own = read_json(Path(plan.work_dir) / 'tracking.json')['id']
    files = {file.name: file.read_bytes() for file in folder.glob('*/*.wandb')}
    assert set(files) == {
        f'run-{own}-{name}.wandb' for name in ('plan', 'probe', BASE, FISSION)
    }
    content = files[f'run-{own}-{FISSION}.wandb']
    for word in ('skin', 'train/lr', 'val/accuracy', 'model/val/accuracy'):
        assert word.encode() in content


def test_another_folder_of_the_same_name_has_runs_of_its_own(
    plan, uri, tmp_path, generation_config
):
    other = logged(generation_config(tmp_path / 'skin'), uri, 'mlflow')
    first, second, again = (
        Tracking(cfg)._of_run('probe', 'probe', {})[0]['run']
        for cfg in (plan, other, other)
    )
    assert first['group'] == second['group'] == 'skin'
    assert first['id'] != second['id'] == again['id']


def soup_config(generation, work_dir):
    cfg = copy.deepcopy(generation)
    cfg.pop('plan')
    cfg.runner_type, cfg.soup = 'GoGSoupRunner', dict(group_by='lr')
    cfg.work_dir = str(work_dir)
    cfg.ingredients = f'{generation.work_dir}/ingredients.json'
    return cfg


def test_a_soup_stands_beside_the_trials_with_each_decision(
    plan, uri, tmp_path, capsys
):
    cfg = soup_config(plan, tmp_path / 'gog')
    report = RUNNERS.build(cfg).run()
    printed = capsys.readouterr().out
    assert f'logged to TensorBoard: tensorboard --logdir {cfg.work_dir}' in printed
    run = runs_of(uri, 'skin')['gog']
    assert run.info.status == 'FINISHED'
    for name in ('val', 'test'):
        value = run.data.metrics[f'model/{name}/accuracy']
        assert value == report[name]['accuracy']
    corrupted = run.data.metrics['model/ood/corrupted/accuracy']
    assert corrupted == report['ood']['corrupted']['accuracy']
    decisions = table(run, 'decisions.csv')
    assert decisions[0]['kept'] == 'yes'
    for row in decisions:
        verdict = 'kept' if row['kept'] == 'yes' else 'left out'
        assert f'{verdict} ({row["reason"]})' in printed
    parts = {
        row['ingredient']: float(row['weight']) for row in table(run, 'ingredients.csv')
    }
    assert parts == {each['name']: each['weight'] for each in report['ingredients']}
    rows = [row for row in table(run, 'metrics.csv') if row['metric'] == 'accuracy']
    assert [row['set'] for row in rows] == ['val', 'test', 'ood/corrupted']
    single = report['best_single']['test']['accuracy']
    assert float(rows[1]['best single']) == single
    assert scalars(cfg.work_dir, 'gog', 'model/test/accuracy') == [
        (0, pytest.approx(report['test']['accuracy']))
    ]


def test_a_comparison_is_one_run_with_intervals_and_the_page(plan, uri, tmp_path):
    cfg = soup_config(plan, tmp_path / 'side_by_side')
    cfg.pop('soup')
    cfg.runner_type, cfg.baseline = 'ComparisonRunner', 'best'
    cfg.pools = dict(fgg=cfg.pop('ingredients'))
    cfg.methods = dict(
        best=dict(title='best', pool='fgg', runner_type='BestIngredientRunner'),
        uniform=dict(title='uniform', pool='fgg', runner_type='UniformSoupRunner'),
    )
    found = RUNNERS.build(cfg).run()
    runs = runs_of(uri, 'skin')
    run = runs['side_by_side']
    assert not {'best', 'run0', 'uniform'} & set(runs)
    rows = table(run, 'results.csv')
    uniform = next(
        row
        for row in rows
        if (row['set'], row['method'], row['metric']) == ('test', 'uniform', 'accuracy')
    )
    values = found['methods']['uniform']['results']['test']['accuracy']
    assert float(uniform['low']) == values['low']
    assert float(uniform['difference']) == values['difference']['value']
    assert 'side_by_side' in artifact(run, 'comparison.html')
    # Where it is logged to decides nothing, and has nothing made anew.
    made = (tmp_path / 'side_by_side/uniform/run0/made.json').stat().st_mtime_ns
    again = copy.deepcopy(cfg)
    without_trackers(again)
    RUNNERS.build(again).run()
    assert (tmp_path / 'side_by_side/uniform/run0/made.json').stat().st_mtime_ns == made


def test_an_analysis_leaves_its_figures(plan, uri, tmp_path):
    cfg = soup_config(plan, tmp_path / 'gog')
    cfg.runner_type, cfg.lmc = 'LMCRunner', dict(points=3)
    RUNNERS.build(cfg).run()
    run = runs_of(uri, 'skin')['gog_lmc']
    files = MlflowClient(uri).list_artifacts(run.info.run_id, 'val')
    assert 'val/paths_loss.png' in [file.path for file in files]


def test_a_tracker_that_fails_in_between_ends_no_training(
    plain, uri, tmp_path, generation_config, monkeypatch, capsys
):
    cfg = generation_config(tmp_path / 'gone', **SHORT)
    logged(cfg, uri, 'mlflow', 'tensorboard')
    log_batch = SqlAlchemyStore.log_batch

    def until_the_second_epoch(self, run_id, metrics, params, tags):
        if any(metric.step > 1 and metric.key == 'val/accuracy' for metric in metrics):
            raise ConnectionError('the server is gone')
        log_batch(self, run_id, metrics, params, tags)

    monkeypatch.setattr(SqlAlchemyStore, 'log_batch', until_the_second_epoch)
    train(cfg)
    printed = capsys.readouterr().out
    note = f'note: {BASE} is logged no further, the work goes on: MLflow'
    assert printed.count(note) == 1 and 'the server is gone' in printed
    assert digests(tmp_path / 'gone') == digests(plain.work_dir)
    assert len(scalars(cfg.work_dir, BASE, 'val/accuracy')) == 3


def test_a_server_that_is_not_there_is_said_before_any_training(
    tmp_path, generation_config, monkeypatch
):
    monkeypatch.setenv('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '0')
    cfg = generation_config(tmp_path)
    logged(cfg, 'http://127.0.0.1:9', 'mlflow')
    with pytest.raises(
        ConfigError, match=r'MLflow \(experiment .* at http.* cannot be'
    ):
        train(cfg)
    assert not (tmp_path / 'trials').exists()


@pytest.mark.parametrize(
    ('backend', 'said'),
    [
        (dict(type='MLflowVisBackend', run_name='a'), 'takes no run_name in ff_mm'),
        (
            dict(type='WandbVisBackend', init_kwargs=dict(name='a')),
            'no init_kwargs.name',
        ),
        (dict(type='TensorboardVisBackend', folder='a'), 'TensorBoard takes no folder'),
    ],
)
def test_an_option_that_is_of_each_run_is_refused(
    backend, said, generation_config, tmp_path
):
    cfg = generation_config(tmp_path)
    cfg.visualizer.vis_backends = [backend]
    with pytest.raises(ConfigError, match=said):
        RUNNERS.build(cfg)


def test_what_is_not_installed_is_said_with_the_command(
    generation_config, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'mlflow', None)
    monkeypatch.setattr('ff_mm.tracking.tracker.find_spec', lambda name: None)
    cfg = logged(generation_config(tmp_path), 'unused', 'mlflow')
    with pytest.raises(ConfigError, match=r"pip install 'ff_mm\[mlflow\]'"):
        RUNNERS.build(cfg)


def test_trackers_are_added_once_and_others_stay(generation_config, tmp_path):
    cfg = generation_config(tmp_path)
    add_trackers(cfg, ['tensorboard', 'mlflow'])
    add_trackers(cfg, ['tensorboard'])
    kinds = ['LocalVisBackend', 'TensorboardVisBackend', 'MLflowVisBackend']
    assert [backend.type for backend in cfg.visualizer.vis_backends] == kinds
    without_trackers(cfg)
    assert [backend.type for backend in cfg.visualizer.vis_backends] == kinds[:1]


def test_a_config_without_a_visualizer_keeps_its_own_log(generation_config, tmp_path):
    cfg = generation_config(tmp_path)
    cfg.visualizer = None
    add_trackers(cfg, ['tensorboard'])
    kinds = [backend.type for backend in cfg.visualizer.vis_backends]
    assert kinds == ['LocalVisBackend', 'TensorboardVisBackend']


def test_the_option_of_the_commands(tool, tmp_path, capsys):
    assert tool('train.py', 'fgg_digits_resnet18', '--log-to', 'papyrus') == 2
    said = capsys.readouterr().err
    assert 'papyrus' in said and 'did you mean' not in said


def test_names_that_mlflow_does_not_take_are_made_fit(uri):
    run = dict(folder='f', group='odd', name='a', stage='base', id='1', hyper={})
    tracker = MLflowTracker('', run, tracking_uri=uri)
    tracker.add_scalars({'val/precision@1': 0.5, 'text': 'no number'}, 1)
    tracker.finished = True
    tracker.close()
    assert runs_of(uri, 'odd')['a'].data.metrics == {'val/precision_1': 0.5}


def test_models_of_folds_have_a_table_and_no_plot(uri, tmp_path, generation_config):
    cfg = generation_config(tmp_path, **SHORT, plan__folds=2)
    manifest = train(logged(cfg, uri, 'tensorboard'))
    events = tensorboard(tmp_path, 'plan')
    assert BASE in text_of(events, 'trials')
    assert events.Tags()['images'] == []
    with pytest.raises(ConfigError, match='no metric in common'):
        pool_plot(pool_rows(manifest, tmp_path), None)


def test_overlays_of_patients_are_not_logged(tmp_path, capsys):
    class Refuses:
        def files(self, *_):
            raise AssertionError('images of patients are logged')

    (tmp_path / 'overlays.png').touch()
    runner = object.__new__(OverlayRunner)
    runner.folder, runner.console = tmp_path, make_console()
    runner.tracking, runner.tracked = True, Refuses()
    runner.track(None)
    assert 'are not logged' in capsys.readouterr().out
