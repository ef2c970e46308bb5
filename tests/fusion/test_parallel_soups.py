"""Soups made by several real processes: the decisions of one."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from many_processes import make
from mmengine.registry import MODELS, RUNNERS, init_default_scope

from ff_mm.config import resolve
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.evaluation.memo import EvaluationMemo
from ff_mm.files import read_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import NoBetterThan
from ff_mm.parallel.team import Team

F1 = dict(metric='macro_f1', rule='greater')
LOSS = dict(metric='loss', rule='less')
ACCURACY = dict(metric='accuracy', rule='greater')
THREE_LEVELS = [
    dict(soup='uniform', group_by=['lr', 'seed']),
    dict(soup='greedy', group_by='lr'),
    dict(soup='greedy'),
]
SOUPS = {
    'uniform': ('UniformSoupRunner', F1, {}),
    'greedy': ('GreedySoupRunner', LOSS, {}),
    'gou': ('GoUSoupRunner', F1, {}),
    'gog': ('GoGSoupRunner', F1, {}),
    'gog by loss': ('GoGSoupRunner', LOSS, {}),
    'ties': ('GoGSoupRunner', ACCURACY, dict(accept_ties=True)),
    'hierarchical': ('HierarchicalSoupRunner', F1, dict(levels=THREE_LEVELS)),
    'pruned': ('PrunedSoupRunner', F1, {}),
    'ensemble_selection': ('EnsembleSelectionRunner', LOSS, dict(rounds=9)),
    'learned': ('LearnedSoupRunner', LOSS, dict(steps=3)),
}


@pytest.fixture(scope='module')
def fusion(tmp_path_factory, generation_config):
    """A fusion config without a soup; its pool has twelve networks in three groups."""
    folder = tmp_path_factory.mktemp('pool')
    cfg = generation_config(folder / 'unused')
    cfg.pop('plan')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    network = MODELS.build(resolve(cfg).model)
    start = {k: v.clone() for k, v in network.state_dict().items()}
    cfg.ingredients = []
    for number in range(12):
        generator = torch.Generator().manual_seed(number)
        state = {
            key: value + 0.3 * torch.randn(value.shape, generator=generator)
            if key.endswith(('weight', 'bias'))
            else value
            for key, value in start.items()
        }
        file = folder / f'm{number}.pth'
        torch.save(dict(state_dict=state), file)
        hyper = dict(lr=number % 3, seed=number % 2)
        cfg.ingredients.append(dict(file=str(file), **hyper))
    return cfg


def soup_config(fusion, work_dir, method, **evaluation):
    runner, selection, soup = SOUPS[method]
    cfg = copy.deepcopy(fusion)
    cfg.merge_from_dict(dict(runner_type=runner, work_dir=str(work_dir)))
    cfg.selection = dict(selection)
    cfg.soup = copy.deepcopy(soup)
    cfg.evaluation = evaluation
    return cfg


def soup(cfg, launcher='pytorch'):
    """Makes a soup in one of the processes."""
    cfg.launcher = launcher
    return RUNNERS.build(cfg).run()


def alone(cfg):
    """Makes a soup in one process, with as many threads."""
    return make(1, soup, cfg, 'none')[0]


@pytest.fixture(scope='module')
def usual(tmp_path_factory, fusion):
    """Method -> (work directory, report) of one process."""
    made = {}
    for method in SOUPS:
        work_dir = tmp_path_factory.mktemp(method)
        made[method] = work_dir, alone(soup_config(fusion, work_dir, method))
    return made


def weights(work_dir):
    """SHA-256 of the tensors of a soup; the file also has the name of its folder."""
    content = torch.load(Path(work_dir) / 'soup.pth', weights_only=True)
    digest = hashlib.sha256()
    for key, value in sorted(content['state_dict'].items()):
        digest.update(key.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def decisions(node):
    """A tree of decisions: without scores, and what early exit leaves unknown."""
    kept = {key: node[key] for key in ('name', 'level', 'weight')}
    for key in ('members', 'rejected'):
        kept[key] = [decisions(member) for member in node.get(key, ())]
    kept['steps'] = [(s['candidate'], s['accepted']) for s in node.get('steps', ())]
    return kept


def scores(node):
    """All scores of what was kept, which differ by the order of cases in batches."""
    found = [node['score'], *(s['best'] for s in node.get('steps', ()) if s['best'])]
    for member in node.get('members', ()):
        found += scores(member)
    return found


def require_the_same(report, expected):
    """All that is chosen and reached must be the same, scores to rounding."""
    assert decisions(report['tree']) == decisions(expected['tree'])
    assert scores(report['tree']) == pytest.approx(scores(expected['tree']))
    assert report['val'] == pytest.approx(expected['val'])
    for key in ('ingredients', 'test', 'ood', 'levels', 'pool_size'):
        assert report[key] == expected[key], key


def lines(work_dir):
    """Keys in the memo of a soup."""
    text = (Path(work_dir) / 'evaluations.jsonl').read_text()
    return [json.loads(line)['key'] for line in text.splitlines() if line]


def test_the_pool_is_one_that_asks_for_decisions(usual):
    """Else the tests below would say little."""
    for method, (_, report) in usual.items():
        everything = method in ('uniform', 'learned')
        assert everything or 1 < len(report['ingredients']) < 12
    assert sum(report['evaluations']['stopped'] for _, report in usual.values()) > 9


@pytest.mark.parametrize(
    ('method', 'size'),
    [*((method, 2) for method in SOUPS), ('gog', 3), ('gou', 3), ('hierarchical', 5)],
)
def test_candidates_shared_out_are_decided_as_by_one(
    usual, fusion, tmp_path, method, size
):
    cfg = soup_config(fusion, tmp_path, method, parallel='candidates')
    report, *others = make(size, soup, cfg)
    work_dir, expected = usual[method]
    assert weights(tmp_path) == weights(work_dir)
    require_the_same(report, expected)
    assert read_json(tmp_path / 'report.json') == {'format': 1, **report}
    for other in others:
        assert {**other, 'seconds': 0} == {**report, 'seconds': 0}
    assert len(lines(tmp_path)) == len(set(lines(tmp_path)))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith('.soups')]
    cost, least = report['evaluations'], expected['evaluations']
    assert cost['selection'] - cost['in_vain'] == least['selection']
    # Of the soup, and of the best single model beside it.
    assert 1 <= cost['test'] == cost['ood/corrupted'] == least['test'] <= 2
    assert least['in_vain'] == 0


@pytest.mark.parametrize(
    'method', ['greedy', 'gou', 'gog', 'ensemble_selection', 'learned']
)
def test_passes_split_over_images_come_to_the_same(usual, fusion, tmp_path, method):
    cfg = soup_config(fusion, tmp_path, method, parallel='images')
    report, other = make(2, soup, cfg)
    work_dir, expected = usual[method]
    if method == 'learned':  # gradients are summed up in another order
        of_both = [[i['weight'] for i in r['ingredients']] for r in (report, expected)]
        assert of_both[0] == pytest.approx(of_both[1], rel=1e-4)
    else:
        assert weights(tmp_path) == weights(work_dir)
        assert decisions(report['tree']) == decisions(expected['tree'])
    for key in ('val', 'test'):
        assert report[key] == other[key] == pytest.approx(expected[key])
    cost, usual_cost = report['evaluations'], expected['evaluations']
    assert cost['stopped'] == cost['in_vain'] == 0
    for key in ('selection', 'test', 'ood/corrupted'):
        assert cost[key] == usual_cost[key]
    assert cost['images']['test'] == usual_cost['images']['test']
    assert cost['images']['val'] == 40 * cost['val']


@pytest.mark.parametrize(
    ('before', 'after', 'passes'), [(1, 2, 1), (1, 2, 9), (2, 1, 4), (2, 3, 7)]
)
def test_what_others_have_evaluated_is_taken_up(
    usual, fusion, tmp_path, before, after, passes
):
    tmp_path = tmp_path / 'gog'
    cfg = soup_config(fusion, tmp_path, 'gog', parallel='candidates')
    launchers = {1: 'none', 2: 'pytorch', 3: 'pytorch'}
    assert set(make(before, interrupted_soup, cfg, launchers[before], passes)) == {
        'KeyboardInterrupt'
    }
    known = lines(tmp_path)
    assert len(known) >= passes  # of each process, and what all know is written
    report = make(after, soup, cfg, launchers[after])[0]
    work_dir, expected = usual['gog']
    require_the_same(report, expected)
    assert weights(tmp_path) == weights(work_dir)
    assert lines(tmp_path)[: len(known)] == known
    assert len(lines(tmp_path)) == len(set(lines(tmp_path)))
    assert 0 < report['evaluations']['remembered'] <= len(known)
    # All of it again: nothing is left to do.
    again = make(before, soup, cfg, launchers[before])[0]
    require_the_same(again, expected)
    assert again['evaluations']['selection'] == again['evaluations']['in_vain'] == 0


def interrupted_soup(cfg, launcher, passes):
    """Makes a soup until some passes are made, however the processes shared them."""
    make_pass, made = EvaluationSet._pass, Path(cfg.work_dir).with_name('made')

    def interrupted(self, *args):
        if made.is_file() and made.stat().st_size >= passes:
            raise KeyboardInterrupt
        result = make_pass(self, *args)
        with made.open('ab') as file:
            file.write(b'.')
        return result

    EvaluationSet._pass = interrupted
    try:
        return soup(cfg, launcher)
    except BaseException as error:
        return type(error).__name__


def test_soups_of_one_command_share_passes_on_all_processes(usual, fusion, tmp_path):
    methods = ['gog', 'hierarchical', 'gog']
    configs = [
        soup_config(fusion, tmp_path / f'{i}', method)
        for i, method in enumerate(methods)
    ]
    first, other = make(2, soups_of_one_session, configs)
    for method, report, of_other in zip(methods, first, other, strict=True):
        require_the_same(report, usual[method][1])
        assert report['ingredients'] == of_other['ingredients']
    assert first[2]['evaluations']['val'] == first[2]['evaluations']['test'] == 0


def soups_of_one_session(configs):
    with FusionSession(Team.of_launcher('pytorch')) as session:
        reports = []
        for cfg in configs:
            cfg.launcher = 'pytorch'
            reports.append(RUNNERS.build(cfg).run(session))
        return reports


def ways(cfg):
    """Which way the processes take, without making a soup."""
    cfg.launcher = 'pytorch'
    with FusionSession(Team.of_launcher('pytorch')) as session:
        setup = session.setup(resolve(cfg), print)
        return setup.team.size, dist.is_initialized(), len(setup.evaluator.val_dataset)


@pytest.mark.parametrize(
    ('evaluation', 'expected'),
    [
        (dict(), 'candidates'),
        # 40 images of 3 x 8 x 8 bytes in each of two processes.
        (dict(cache_memory=2 * 40 * 192), 'candidates'),
        (dict(cache_memory=2 * 40 * 192 - 1), 'images'),
        (dict(cache_memory=0, parallel='candidates'), 'candidates'),
        (dict(parallel='images'), 'images'),
    ],
)
def test_a_small_validation_set_has_candidates_shared_out(
    fusion, tmp_path, evaluation, expected
):
    found = make(2, ways, soup_config(fusion, tmp_path, 'gog', **evaluation))
    teams = {'candidates': (2, False, 40), 'images': (1, True, 40)}
    assert found == [teams[expected]] * 2


def test_one_process_under_a_launcher_is_one_process(usual, fusion, tmp_path):
    cfg = soup_config(fusion, tmp_path, 'gog', parallel='candidates')
    (report,) = make(1, soup, cfg)
    expected = usual['gog'][1]
    assert {**report, 'seconds': 0} == {**expected, 'seconds': 0}


@pytest.mark.parametrize('candidates', [False, True])
def test_batch_norm_is_reestimated_as_by_one(fusion, tmp_path, candidates):
    reports = []
    for size, launcher in ((1, 'none'), (2, 'pytorch')):
        cfg = soup_config(fusion, tmp_path / launcher, 'gou', parallel='candidates')
        cfg.soup.bn_reestimation = dict(num_samples=40, candidates=candidates)
        reports.append(make(size, soup, cfg, launcher)[0])
    one, two = reports
    assert two['bn_reestimation']['num_samples'] == 40
    assert two['test'] == one['test'] and two['val'] == pytest.approx(one['val'])
    before = two['bn_reestimation']['before']
    assert before is None if candidates else two['test'] != before['test']
    assert scores(two['tree']) == pytest.approx(scores(one['tree']))
    assert weights(tmp_path / 'none') == weights(tmp_path / 'pytorch')


def test_a_margin_refuses_as_of_one(fusion, tmp_path):
    reports = []
    for size, launcher in ((1, 'none'), (2, 'pytorch')):
        cfg = soup_config(fusion, tmp_path / launcher, 'pruned', parallel='candidates')
        cfg.soup.accept = 0.6
        reports.append(make(size, soup, cfg, launcher)[0])
    one, two = reports
    assert two['margin'] == one['margin'] and one['margin']['asked'] > 0
    assert decisions(two['tree']) == decisions(one['tree'])


@pytest.mark.parametrize('parallel', ['candidates', 'images'])
def test_a_decision_is_fitted_on_the_cases_of_all(fusion, tmp_path, parallel):
    reports = []
    for size, launcher in ((1, 'none'), (2, 'pytorch')):
        cfg = soup_config(fusion, tmp_path / launcher, 'gou', parallel=parallel)
        frequencies = list(range(1, 11))
        cfg.soup.decision = [
            dict(type='temperature', accept=0),
            dict(type='prior', tau=0.5, frequencies=frequencies),
        ]
        reports.append(make(size, soup, cfg, launcher)[0])
    one, two = reports
    assert two['decision']['bias'] == pytest.approx(one['decision']['bias'])
    assert two['decision']['scale'] == pytest.approx(one['decision']['scale'])
    for split in ('val', 'test'):
        assert two[split] == pytest.approx(one[split])
        assert one[split] != one['decision']['before'][split]


def first_of_all(configs):
    """Soups one after the other; the error that each process ends with."""
    try:
        soups_of_one_session(configs)
    except FFMMError as error:
        return type(error).__name__, str(error)


def test_two_ways_in_one_command_are_refused(fusion, tmp_path):
    configs = [
        soup_config(fusion, tmp_path / way, 'uniform', parallel=way)
        for way in ('images', 'candidates')
    ]
    for kind, text in make(2, first_of_all, configs):
        assert kind == 'ConfigError'
        assert 'give the two in two commands' in text


def broken_on_the_second(cfg):
    """A pass fails on one process."""

    def fail(self, *_):
        raise ConfigError('no memory')

    if os.environ['RANK'] == '1':
        EvaluationSet._pass = fail
    return first_of_all([cfg])


def test_the_error_of_one_process_ends_all(fusion, tmp_path):
    cfg = soup_config(fusion, tmp_path, 'gog', parallel='candidates')
    first, second = make(2, broken_on_the_second, cfg)
    assert first == ('AnotherFailed', 'process 1 has stopped: ConfigError: no memory')
    assert second == ('ConfigError', 'no memory')
    assert not (tmp_path / 'soup.pth').exists()


def with_other_data(cfg):
    """The second process has fewer cases."""
    if os.environ['RANK'] == '1':
        cfg.val_dataloader.dataset.indices = 39
    return first_of_all([cfg])


def test_machines_with_other_data_are_refused(fusion, tmp_path):
    cfg = soup_config(fusion, tmp_path, 'gog', parallel='candidates')
    for kind, text in make(2, with_other_data, cfg):
        assert kind == 'ConfigError'
        assert 'process 1 has other images or labels than the first one in val' in text


@pytest.mark.parametrize(
    ('key', 'value', 'kind', 'message'),
    [
        ('ingredients', 'nowhere/*.pth', 'ConfigError', 'fits no file'),
        ('val_dataloader.dataset.subset', 'x', 'DatasetError', 'subset'),
    ],
)
def test_what_is_wrong_is_said_by_the_first(
    fusion, tmp_path, key, value, kind, message
):
    cfg = soup_config(fusion, tmp_path, 'gog')
    cfg.merge_from_dict({key: value})
    first, other = make(2, first_of_all, [cfg])
    assert first[0] == kind and message in first[1]
    assert other == ('AnotherFailed', f'process 0 has stopped: {kind}: {first[1]}')


def one_prints(cfg, capture):
    """What a process writes on standard output while it makes a soup."""
    with open(f'{capture}{os.environ["RANK"]}', 'w') as file, redirect_stdout(file):
        soup(cfg)
    return Path(file.name).read_text()


def test_the_first_process_alone_prints(fusion, tmp_path):
    cfg = soup_config(fusion, tmp_path / 'gog', 'gog', parallel='candidates')
    first, other = make(2, one_prints, cfg, tmp_path / 'said')
    assert 'kept (the best one alone)' in first
    assert other == ''


def test_the_memo_is_written_by_the_first_alone(fusion, tmp_path):
    memo, others = make(2, memo_of_a_process, tmp_path)
    for known in (memo, others):
        assert list(known) == ['a'] and math.isnan(known['a']['x'])
    assert lines(tmp_path) == ['a', 'b/less/x']


def memo_of_a_process(folder):
    """Both find one thing; the second process has a file that is none of its own."""
    team = Team.of_launcher('pytorch')
    memo = EvaluationMemo(team=team)
    if team.is_first:
        Path(folder, 'evaluations.jsonl').write_text(
            '{"key": "a", "value": {"x": NaN}}\n'
        )
    memo.open(Path(folder, 'evaluations.jsonl' if team.is_first else 'other.jsonl'))
    known = dict(memo._known)
    memo.add_bound('b', 'x', 'less', NoBetterThan(1.0))
    return known
