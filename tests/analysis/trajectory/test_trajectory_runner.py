from __future__ import annotations

import copy
import io
import shutil
from contextlib import redirect_stdout
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from analyses import pool_folder, rows, run
from many_processes import make
from mmengine.registry import RUNNERS

from ff_mm.analysis import results
from ff_mm.analysis.trajectory import pair_relations, trajectory_runner
from ff_mm.analysis.trajectory.trajectory_runner import TrajectoryOptions
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.files import read_json
from ff_mm.merging import CheckpointError, read_state_dict

BASE, FISSION = 'base_lr0.01', 'fission_lr0.01'
RUNNER = 'TrajectoryRunner'


def weights(file):
    """All that gradient descent moves, as one point."""
    statistics = ('running_mean', 'running_var')
    return np.concatenate(
        [
            value.double().numpy().ravel()
            for key, value in read_state_dict(file).items()
            if value.is_floating_point() and not key.endswith(statistics)
        ]
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'analysis' / 'trajectory'


@pytest.fixture
def figures(folder):
    """The same, for tests that look at figures."""
    return folder


@pytest.fixture(autouse=True)
def figures_where_looked_at(request, monkeypatch):
    """Leaves out drawing, which takes most of the time, unless a test has figures."""
    if 'figures' not in request.fixturenames:
        for module in (trajectory_runner, results):
            monkeypatch.setattr(module, 'save_figure', lambda *_: [])
        for name in ('matrix_plot', 'diversity_plot'):
            monkeypatch.setattr(pair_relations, name, lambda *_, **__: None)
        monkeypatch.setattr(trajectory_runner, 'trajectory_plot', lambda *_: None)


@pytest.fixture
def own(small_pool, tmp_path):
    """A copy of the generation, to be changed."""
    return shutil.copytree(small_pool.work_dir, tmp_path / 'own')


@pytest.fixture
def passes(monkeypatch):
    """Counts predictions; raises KeyboardInterrupt at the one that a test has set."""
    seen = dict(number=0, stop_at=None)
    predict = EvaluationSet.predict

    def counted(self, model):
        seen['number'] += 1
        if seen['number'] == seen['stop_at']:
            raise KeyboardInterrupt
        return predict(self, model)

    monkeypatch.setattr(EvaluationSet, 'predict', counted)
    return seen


@pytest.fixture(scope='module')
def analysed(small_pool, tmp_path_factory):
    """A config, its results, their folder, and what was printed."""
    cfg = copy.deepcopy(small_pool)
    cfg.pop('plan')
    cfg.merge_from_dict(
        dict(
            runner_type=RUNNER,
            work_dir=str(tmp_path_factory.mktemp('analysed')),
            ingredients=f'{small_pool.work_dir}/ingredients.json',
        )
    )
    with redirect_stdout(io.StringIO()) as said:
        found = run(cfg)
    return cfg, found, Path(cfg.work_dir) / 'trajectory', said.getvalue()


def test_numbers_are_those_of_the_files(analysed):
    cfg, found, folder, _ = analysed
    generation = pool_folder(cfg)
    entries = read_json(cfg.ingredients)['ingredients']
    points = {e['name']: weights(generation / e['file']) for e in entries}
    start = weights(generation / 'trials' / 'probe' / 'best.pth')
    recorded = {e['name']: e['metrics'] for e in entries}
    table = rows(folder / 'val' / 'pairs.csv')
    assert [(row['a'], row['b']) for row in table] == list(combinations(points, 2))
    for row in table:
        a, b = points[row['a']], points[row['b']]
        assert float(row['distance']) == pytest.approx(np.linalg.norm(a - b))
        a, b = a - start, b - start
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert float(row['cosine']) == pytest.approx(cosine)
    errors = dict(zip(points, found.diversity.errors, strict=True))
    for name, error in errors.items():
        assert 1 - error == pytest.approx(recorded[name]['accuracy'])
    assert 'displacements from the probe' in (folder / 'cosine.svg').read_text()
    for stem in ('trajectory', 'distance', 'cosine', 'val/diversity'):
        assert (folder / f'{stem}.png').is_file()
        assert (folder / f'{stem}.svg').is_file()


def test_disagreement_is_of_the_predictions_that_are_kept(analysed):
    _, found, folder, _ = analysed
    files = list((folder / 'predictions' / 'val').glob('*.npz'))
    assert len(files) == 6
    said = [np.load(file)['scores'].argmax(1) for file in files]
    shares = sorted((a != b).mean() for a, b in combinations(said, 2))
    upper = found.diversity.disagreement[np.triu_indices(6, 1)]
    assert sorted(upper) == pytest.approx(shares)
    assert max(shares) > 0


def test_trajectories_of_all_bases_and_fissions(analysed):
    cfg, _, folder, said = analysed
    table = rows(folder / 'epochs.csv')
    ledger = read_json(pool_folder(cfg) / 'ledger.json')['trials']
    trained = {e['id']: e['epochs'] for e in ledger if e['stage'] != 'probe'}
    for trial, epochs in trained.items():
        assert [int(r['epoch']) for r in table if r['trial'] == trial] == list(
            range(1, epochs + 1)
        )
    assert all(row['loss'] for row in table if row['stage'] == 'base')
    svg = (folder / 'trajectory.svg').read_text()
    for word in ('accuracy', 'loss', 'lr 0.01', 'lr 0.001', 'snapshot', 'best epoch'):
        assert f'>{word}<' in svg
    assert 'base to snapshot' in said
    assert 'no trajectory' not in said


def test_an_interrupted_analysis_goes_on_and_a_finished_one_predicts_nothing(
    analysis_config, folder, passes
):
    passes['stop_at'] = 3
    with pytest.raises(KeyboardInterrupt):
        run(analysis_config(RUNNER))
    # What takes no time is there already.
    assert (folder / 'epochs.csv').is_file()
    assert not (folder / 'val' / 'pairs.csv').exists()
    run(analysis_config(RUNNER))
    assert passes['number'] == 3 + 4
    before = (folder / 'val' / 'pairs.csv').read_bytes()
    run(analysis_config(RUNNER))
    assert passes['number'] == 3 + 4
    assert (folder / 'val' / 'pairs.csv').read_bytes() == before


def test_another_set_has_files_of_its_own_and_no_other_is_passed_over(
    analysis_config, analysed, passes
):
    folder = analysed[2]
    val, ood = (folder / name / 'pairs.csv' for name in ('val', 'ood/corrupted'))
    before = val.read_text()
    run(analysis_config(RUNNER, folder.parent, trajectory__split='ood/corrupted'))
    assert passes['number'] == 6
    assert val.read_text() == before
    for row, other in zip(rows(val), rows(ood), strict=True):
        assert row['distance'] == other['distance']
    assert val.read_text() != ood.read_text()


def test_without_an_origin_cosines_are_of_the_weights(analysis_config, folder):
    cfg = analysis_config(RUNNER, trajectory__origin=None)
    assert run(cfg).directions == 'weights'
    first = rows(folder / 'val' / 'pairs.csv')[0]
    files = [e['file'] for e in read_json(cfg.ingredients)['ingredients']][:2]
    a, b = (weights(pool_folder(cfg) / file) for file in files)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert float(first['cosine']) == pytest.approx(cosine)


def test_the_origin_can_be_any_checkpoint_of_the_network(analysis_config, folder):
    cfg = analysis_config(RUNNER)
    start = pool_folder(cfg) / 'ingredients' / f'{BASE}.pth'
    found = run(analysis_config(RUNNER, trajectory__origin=str(start)))
    place = list(found.hypers).index(BASE)
    assert found.geometry.norms[place] == 0
    assert np.isnan(found.geometry.cosines[place]).all()
    row = next(
        r for r in rows(folder / 'val' / 'pairs.csv') if BASE in (r['a'], r['b'])
    )
    assert row['cosine'] == ''


def test_an_origin_of_another_network_is_refused(analysis_config, tmp_path):
    torch.save({'fc.weight': torch.ones(2)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'other\.pth'):
        run(analysis_config(RUNNER, trajectory__origin=str(tmp_path / 'other.pth')))


def test_what_was_deleted_of_a_generation_is_said_in_a_line(
    analysis_config, own, figures, capsys
):
    shutil.rmtree(own / 'trials')
    run(analysis_config(RUNNER, ingredients=str(own / 'ingredients.json')))
    said = capsys.readouterr().out
    assert f'{own}: no training log of' in said.replace('\n', ' ')
    assert 'cosines are of the weights themselves' in said.replace('\n', ' ')
    known = [row for row in rows(figures / 'epochs.csv') if row['loss']]
    assert len(known) == 6
    assert (figures / 'trajectory.png').is_file()


def test_a_generation_without_its_ledger_has_no_trajectory(
    analysis_config, own, folder, capsys
):
    (own / 'ledger.json').unlink()
    run(analysis_config(RUNNER, ingredients=str(own / 'ingredients.json')))
    assert 'no trajectory' in capsys.readouterr().out
    assert not (folder / 'epochs.csv').exists()
    assert (folder / 'val' / 'pairs.csv').is_file()


def test_plain_checkpoints_have_distances_and_no_trajectory(
    analysis_config, own, folder, capsys
):
    found = run(analysis_config(RUNNER, ingredients=str(own / 'ingredients' / '*.pth')))
    assert len(found.hypers) == 6
    assert 'no trajectory: the pool is of checkpoints' in capsys.readouterr().out
    assert not (folder / 'epochs.csv').exists()
    assert len(rows(folder / 'val' / 'pairs.csv')) == 15


def test_one_ingredient_has_no_pairs(analysis_config, own, folder, capsys):
    file = str(own / 'ingredients' / f'{BASE}.pth')
    assert run(analysis_config(RUNNER, ingredients=file)) is None
    assert 'one ingredient' in capsys.readouterr().out
    assert not folder.exists()


def test_ingredients_of_two_generations_start_from_their_own_probes(
    analysis_config, own, figures
):
    # A probe elsewhere, so that a displacement from the wrong one would be seen.
    file = own / 'trials' / 'probe' / 'best.pth'
    content = torch.load(file, weights_only=True)
    for key, value in content['state_dict'].items():
        if key.endswith('weight'):
            content['state_dict'][key] = value + 1
    torch.save(content, file)
    first = analysis_config(RUNNER)
    sources = [first.ingredients, str(own / 'ingredients.json')]
    found = run(analysis_config(RUNNER, ingredients=sources))
    distances, norms = found.geometry.distances, found.geometry.norms
    assert (distances[:6, 6:].diagonal() == 0).all()
    assert (norms[:6] < norms[6:]).all()
    svg = (figures / 'trajectory.svg').read_text()
    assert 'own: lr 0.01' in svg
    names = {row['generation'] for row in rows(figures / 'epochs.csv')}
    assert names == {pool_folder(first).name, 'own'}


def test_only_the_chains_that_are_asked_for(analysis_config, folder):
    run(analysis_config(RUNNER, trajectory__trials=[FISSION]))
    assert {row['trial'] for row in rows(folder / 'epochs.csv')} == {BASE, FISSION}


def test_a_trial_that_there_is_not_is_named_before_anything_is_predicted(
    analysis_config, passes
):
    with pytest.raises(ConfigError, match=r"'nothing'.*fission_lr0\.001"):
        run(analysis_config(RUNNER, trajectory__trials=['nothing']))
    assert passes['number'] == 0


def test_metrics_can_be_chosen(analysis_config, figures):
    run(analysis_config(RUNNER, trajectory__metrics=['macro_f1']))
    svg = (figures / 'trajectory.svg').read_text()
    assert '>macro f1<' in svg
    assert '>loss<' not in svg
    with pytest.raises(ConfigError, match='nonsense'):
        run(analysis_config(RUNNER, trajectory__metrics=['nonsense']))


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (dict(trials='all'), r"trajectory\.trials='all'"),
        (dict(metrics=[]), r'trajectory\.metrics=\[\]'),
        (dict(metrics=[3]), r'trajectory\.metrics=\[3\]'),
        (dict(origin=3), r'trajectory\.origin=3'),
        (dict(split=None), r'trajectory\.split=None'),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(ConfigError, match=said):
        TrajectoryOptions(**options)


def test_unknown_options_and_sets_are_refused(analysis_config):
    with pytest.raises(FFMMError, match='spilt'):
        RUNNERS.build(analysis_config(RUNNER, trajectory__spilt='val'))
    with pytest.raises(FFMMError, match='nowhere'):
        RUNNERS.build(analysis_config(RUNNER, trajectory__split='nowhere'))


def member(cfg):
    """What one of two processes does; how many models predicted there."""
    predict, number = EvaluationSet.predict, [0]

    def counted(self, model):
        number[0] += 1
        return predict(self, model)

    EvaluationSet.predict = counted
    try:
        run(cfg)
    except ConfigError as error:
        return str(error)
    return number[0]


def in_two_processes(cfg):
    cfg.launcher = 'pytorch'
    return make(2, member, cfg)


def test_two_processes_share_out_the_predictions(analysis_config, folder, analysed):
    cfg = analysis_config(RUNNER, evaluation__parallel='candidates')
    assert sum(in_two_processes(cfg)) == 6
    alone = analysed[2]
    for file in ('val/pairs.csv', 'val/by_difference.csv', 'epochs.csv'):
        assert (folder / file).read_text() == (alone / file).read_text()


def test_the_tool_takes_a_fusion_config(analysis_config, folder, tool, tmp_path):
    cfg = analysis_config(RUNNER)
    cfg.pop('runner_type')
    cfg.trajectory = dict()
    cfg.dump(tmp_path / 'config.py')
    options = ['--cfg-options', 'trajectory.split=test']
    name = 'analysis_tools/trajectory.py'
    assert tool(name, tmp_path / 'config.py', *options) == 0
    assert (folder / 'test' / 'pairs.csv').is_file()
    assert tool(name, tmp_path / 'config.py', '--cfg-options', 'trajectory.x=1') == 2
