"""A merging method added by the documented steps, through the runners."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmpretrain.registry import MODELS
from toys import TINY_VIT

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.memo import MEMO
from ff_mm.files import read_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import read_state_dict, write_checkpoint
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import METHODS, Method
from ff_mm.merging.state_dict import is_statistic


def stacked(members, key):
    return torch.stack([member.load()[key].float() for member in members])


def median(members, weights):
    """Entry by entry."""
    first = members[0].load()
    return {
        key: stacked(members, key).median(0).values.to(first[key].dtype)
        if first[key].is_floating_point()
        else first[key]
        for key in first
    }


def beyond(members, weights, *, step=0.5):
    """As far beyond the first as the mean lies behind it: no convex combination."""
    first = members[0].load()
    return {
        key: first[key] + step * (first[key] - stacked(members, key).mean(0))
        if first[key].is_floating_point()
        else first[key]
        for key in first
    }


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    monkeypatch.setitem(METHODS, 'median', Method(median, ordered=False))
    monkeypatch.setitem(METHODS, 'beyond', Method(beyond, batch_norm=True))


@pytest.fixture
def config(analysis_config):
    def make(work_dir, merge, runner='UniformSoupRunner', **soup):
        cfg = analysis_config(runner, work_dir)
        cfg.soup = dict(merge=merge, **soup)
        return cfg

    return make


def test_uniform_and_median_in_one_session_have_each_their_own_score(config, tmp_path):
    with FusionSession() as session:
        reports = {
            name: RUNNERS.build(config(tmp_path / name, name)).run(session)
            for name in ('mean', 'median')
        }
    assert reports['mean']['val'] != reports['median']['val']
    files = [tmp_path / name / 'soup.pth' for name in ('mean', 'median')]
    weights = [read_state_dict(file) for file in files]
    pool = read_json(tmp_path / 'mean' / 'report.json')['pool_size']
    assert pool == 6 and not torch.equal(*(w['head.fc.weight'] for w in weights))
    written = read_json(tmp_path / 'median' / 'report.json')
    assert written['levels'] == [
        dict(soup='uniform', group_by=None, merge=dict(type='median'))
    ]
    assert [item['weight'] for item in written['ingredients']] == [None] * 6
    assert 'merge' not in read_json(tmp_path / 'mean' / 'report.json')['tree']
    # The one pass over validation is known the next time, by what it was made of.
    again = RUNNERS.build(config(tmp_path / 'median', 'median')).run()
    assert again['evaluations']['val'] == 0 and again['val'] == reports['median']['val']


@pytest.mark.parametrize('runner', ['GoGSoupRunner', 'GoUSoupRunner'])
def test_groups_and_top_are_merged_alike(config, tmp_path, runner):
    report = RUNNERS.build(config(tmp_path, 'median', runner)).run()
    merges = [level['merge'] for level in report['levels']]
    assert merges == [dict(type='median')] * 2


def test_batch_norm_of_what_is_no_mean_is_reestimated_at_every_evaluation(
    config, tmp_path
):
    merge = dict(type='beyond', step=3.0)
    cfg = config(tmp_path / 'a', merge, bn_reestimation=dict(num_samples=40))
    report = RUNNERS.build(cfg).run()
    assert report['bn_reestimation'] == dict(num_samples=40, before=None)
    soup = read_state_dict(tmp_path / 'a' / 'soup.pth')
    variances = [v for key, v in soup.items() if key.endswith('running_var')]
    assert variances and all((v > 0).all() for v in variances)
    assert all(torch.isfinite(v).all() for v in soup.values())
    assert 'was re-estimated on 40 images' in (tmp_path / 'a' / 'report.md').read_text()
    keys = [
        json.loads(line)['key']
        for line in (tmp_path / 'a' / MEMO).read_text().split('\n')
        if line
    ]
    # Another number of images is another evaluation.
    other = copy.deepcopy(cfg)
    other.soup.bn_reestimation = dict(num_samples=16)
    again = RUNNERS.build(other).run()
    assert again['evaluations']['val'] == 1 and again['evaluations']['remembered'] == 0
    assert len(set(keys)) == len(keys)


def test_the_tree_of_such_a_soup_is_drawn_and_its_nodes_evaluated(
    config, analysis_config, tmp_path
):
    merge = dict(type='beyond', step=0.1)
    bn = dict(num_samples=16)
    made = RUNNERS.build(
        config(tmp_path, merge, 'GoUSoupRunner', bn_reestimation=bn)
    ).run()
    cfg = analysis_config('SoupTreeRunner', tmp_path, soup_tree=dict(splits=['val']))
    cfg.soup = dict(merge=merge, bn_reestimation=bn)
    tree = RUNNERS.build(cfg).run()
    root = tree.root
    assert root.value('accuracy') == pytest.approx(made['val']['accuracy'])
    assert root.merge.describe() == merge or len(root.members) == 1
    assert (tmp_path / 'soup_tree' / 'soup_tree.png').is_file()


@pytest.fixture
def to_origin(monkeypatch):
    """A method that gives the origin itself."""
    needs = Method(lambda members, weights, *, origin: origin.load(), needs=('origin',))
    monkeypatch.setitem(METHODS, 'to_origin', needs)
    return 'to_origin'


def test_the_origin_is_the_probe_or_what_the_config_says(config, tmp_path, to_origin):
    cfg = config(tmp_path / 'probe', to_origin)
    RUNNERS.build(cfg).run()
    folder = Path(cfg.ingredients).parent
    probe = read_json(cfg.ingredients)['origin']
    soup = read_state_dict(tmp_path / 'probe' / 'soup.pth')
    assert same(soup, read_state_dict(folder / probe['file']))
    other = sorted(folder.glob('ingredients/base*.pth'))[0]
    cfg = config(tmp_path / 'given', to_origin)
    cfg.origin = str(other)
    report = RUNNERS.build(cfg).run()
    assert same(
        read_state_dict(tmp_path / 'given' / 'soup.pth'), read_state_dict(other)
    )
    # Another origin is another model, which no memo takes for the first.
    cfg = config(tmp_path / 'given', to_origin)
    again = RUNNERS.build(cfg).run()
    assert (again['evaluations']['val'], report['evaluations']['remembered']) == (1, 0)


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_method_that_needs_the_origin_says_so_before_any_pass(
    config, tmp_path, to_origin
):
    cfg = config(tmp_path, to_origin)
    cfg.ingredients = f'{Path(cfg.ingredients).parent}/ingredients/*.pth'
    with pytest.raises(ConfigError, match=r"needs 'origin'.*origin=FILE"):
        RUNNERS.build(cfg).run()
    assert not (tmp_path / MEMO).exists()


SEARCH = dict(type='task_arithmetic', scale=[0.5, 1.0, 1.5])


@pytest.mark.parametrize('runner', ['UniformSoupRunner', 'GoUSoupRunner'])
def test_searched_coefficients_are_counted_shown_and_reported(
    config, tmp_path, capsys, runner
):
    cfg = config(tmp_path, SEARCH, runner)
    report = RUNNERS.build(cfg).run()
    out = capsys.readouterr().out
    node = report['tree']
    searched = [step for step in node['steps'] if step['candidate'].startswith('scale')]
    assert [s['candidate'] for s in searched] == ['scale=0.5', 'scale=1.0', 'scale=1.5']
    assert all(f'  scale={value}: accuracy' in out for value in SEARCH['scale'])
    groups = [m for m in node['members'] + node['rejected'] if 'steps' in m]
    tried = 3 * (1 + len(groups)) if runner == 'UniformSoupRunner' else 3 * len(groups)
    spent = report['evaluations']
    assert spent['selection'] + spent['remembered'] >= tried
    chosen = [soup.get('merge') for soup in (node, *groups)]
    # Of a greedy soup of one there is nothing to combine.
    assert all(m is None or m['scale'] in SEARCH['scale'] for m in chosen)
    assert report['levels'][0]['merge'] == SEARCH
    text = (tmp_path / 'report.md').read_text()
    first = groups[0] if groups else node
    assert f'task_arithmetic, scale={first["merge"]["scale"]}' in text
    # What was scored is what was written.
    best = max(s['score'] for s in searched if s['score'] is not None)
    assert report['val']['accuracy'] == node['score'] == best
    tree = analysed(cfg, tmp_path)
    assert tree.root.value('accuracy') == pytest.approx(node['score'])
    text = (tmp_path / 'soup_tree' / 'soup_tree.txt').read_text()
    assert f'merged by task_arithmetic, scale={first["merge"]["scale"]}' in text


def analysed(cfg, work_dir):
    cfg = copy.deepcopy(cfg)
    cfg.runner_type = 'SoupTreeRunner'
    cfg.soup_tree = dict(splits=['val'])
    return RUNNERS.build(cfg).run()


def test_every_merge_that_needs_no_statistics_makes_a_soup(config, tmp_path):
    """Passes through the runner, against the method itself on the same files."""
    names = [n for n, m in METHODS.items() if set(m.needs) <= {'origin'}]
    options = dict(ties=dict(keep=0.5), dare=dict(seed=2))
    with FusionSession() as session:
        for name in set(names) - {'weighted', 'median', 'beyond'}:
            merge = dict(type=name, **options.get(name, {}))
            cfg = config(tmp_path / name, merge)
            report = RUNNERS.build(cfg).run(session)
            assert report['tree'].get('merge', dict(type='mean')) == merge
            must = METHODS[name].needs_batch_norm(options.get(name, {}))
            assert (report['bn_reestimation'] is not None) == must
            found = read_state_dict(tmp_path / name / 'soup.pth')
            pool = session.pool(cfg.ingredients)
            made = Merge.read(merge).supplied(session.supplies(pool))
            members = [entry.ingredient('', None) for entry in pool.entries]
            for key, value in made.load(members, [1.0] * len(members)).items():
                if not (must and is_statistic(key)):
                    assert torch.equal(found[key], value), (name, key)


def test_a_left_out_head_is_the_first_ingredients(config, tmp_path):
    merge = dict(type='mean', leave_out='head')
    report = RUNNERS.build(config(tmp_path, merge)).run()
    folder = Path(config(tmp_path, merge).ingredients).parent
    first = read_json(folder / 'ingredients.json')['ingredients'][0]
    soup = read_state_dict(tmp_path / 'soup.pth')
    head = read_state_dict(folder / first['file'])
    assert torch.equal(soup['head.fc.weight'], head['head.fc.weight'])
    key = 'backbone.conv1.weight'
    assert not torch.equal(soup[key], head[key])
    assert [item['weight'] for item in report['ingredients']] == [None] * 6


def test_weights_by_name_are_those_of_the_report(config, tmp_path):
    folder = Path(config(tmp_path, 'mean').ingredients).parent
    entries = read_json(folder / 'ingredients.json')['ingredients']
    weights = {entry['name']: float(i) for i, entry in enumerate(entries)}
    report = RUNNERS.build(
        config(tmp_path, dict(type='weighted', weights=weights))
    ).run()
    found = {item['name']: item['weight'] for item in report['ingredients']}
    expected = {name: w / 15 for name, w in weights.items() if w}
    assert found == pytest.approx(expected)
    assert [m['weight'] for m in report['tree']['members']] == pytest.approx(
        [i / 15 for i in range(6)]
    )
    cfg = config(tmp_path, dict(type='weighted', weights=weights))
    assert analysed(cfg, tmp_path).root.recipe == pytest.approx(
        {name: w / 15 for name, w in weights.items()}
    )


def test_a_network_without_batch_norm_needs_no_training_images(config, tmp_path):
    """Of one with batch norm it is said before any pass."""
    cfg = config(tmp_path / 'with', 'ties')
    cfg.train_dataloader = None
    with pytest.raises(ConfigError, match=r'soup\.merge: .* no train_dataloader'):
        RUNNERS.build(cfg).run()
    assert not (tmp_path / 'with' / MEMO).exists()
    cfg = config(tmp_path / 'without', 'ties')
    cfg.model.backbone = dict(TINY_VIT['backbone'])
    cfg.model.backbone.update(img_size=8)
    cfg.model.neck = None
    cfg.model.head = dict(
        type='VisionTransformerClsHead', num_classes=10, in_channels=8
    )
    cfg.train_dataloader = None
    network = MODELS.build(Config(dict(m=cfg.model)).m)
    for name in ('origin', 'a', 'b'):
        weights = {
            key: value + (name != 'origin') * 0.1 * torch.randn_like(value)
            for key, value in network.state_dict().items()
        }
        write_checkpoint(dict(state_dict=weights), tmp_path / f'{name}.pth')
    cfg.ingredients = [str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')]
    cfg.origin = str(tmp_path / 'origin.pth')
    report = RUNNERS.build(cfg).run()
    assert report['bn_reestimation'] is None
    assert len(report['ingredients']) == 2


@pytest.mark.parametrize('write', ['far', 'other', 'missing'])
def test_a_wrong_origin_is_said_before_any_pass(config, tmp_path, write):
    cfg = config(tmp_path / 'w', 'wise_ft')
    folder = Path(cfg.ingredients).parent
    right = read_state_dict(folder / read_json(cfg.ingredients)['origin']['file'])
    weights = {
        key: value + 5.0 if value.is_floating_point() else value
        for key, value in right.items()
    }
    if write == 'other':
        weights['head.fc.weight'] = torch.ones(7, 4)
    if write != 'missing':
        write_checkpoint(dict(state_dict=weights), tmp_path / 'origin.pth')
    cfg.origin = str(tmp_path / 'origin.pth')
    words = dict(
        far='farther from every ingredient', other='in shape', missing='no such file'
    )
    with pytest.raises(FFMMError, match=words[write]) as raised:
        RUNNERS.build(cfg).run()
    assert '\n' not in str(raised.value) and not (tmp_path / 'w' / MEMO).exists()
    if write == 'far':  # if it is right nonetheless
        cfg.origin = dict(file=cfg.origin, check=False)
        assert RUNNERS.build(cfg).run()['tree']['merge'] == dict(type='wise_ft')


@pytest.mark.parametrize('merge', ['ties', dict(type='wise_ft', alpha=[0.5, 1.0])])
def test_soups_of_one_merge_by_the_command_line(
    config, tmp_path, tool, merge, monkeypatch, capsys
):
    cfg = config(tmp_path / 'w', None, 'GoGSoupRunner')
    cfg.soup = dict(group_by='lr')
    cfg.pop('work_dir')
    monkeypatch.chdir(tmp_path)
    cfg.dump('gog_toy.py')
    text = merge if isinstance(merge, str) else "dict(type='wise_ft', alpha=[0.5, 1.0])"
    names = ['best', 'uniform', 'greedy', 'gou', 'gog', 'hierarchical']
    options = ['--cfg-options', f'soup.merge={text}']
    assert tool('soup.py', 'gog_toy.py', '--soup', *names, *options) == 0
    given = merge if isinstance(merge, dict) else dict(type=merge)
    for name in names[1:]:
        levels = read_json(f'work_dirs/{name}_toy/report.json')['levels']
        assert [level['merge'] for level in levels] == [given] * len(levels), name
    wrong = ['--cfg-options', "soup.merge=dict(type='ties', keep=2)"]
    assert tool('soup.py', 'gog_toy.py', '--soup', 'best', *wrong) == 2
    assert 'keep=2: expected a number from 0 to 1' in capsys.readouterr().err
