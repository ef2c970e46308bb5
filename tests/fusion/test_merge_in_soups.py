"""A merging method added by the documented steps, through the runners."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError
from ff_mm.evaluation.memo import MEMO
from ff_mm.files import read_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import read_state_dict
from ff_mm.merging.methods import METHODS, Method


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
