"""Merges that need statistics of each member, through the runners."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
from many_processes import make
from mmengine.registry import RUNNERS

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.statistics.fisher import Fisher
from ff_mm.evaluation.statistics.images import TrainingImages, _with_pipeline
from ff_mm.files import read_json, sha256
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import Ingredient, read_state_dict, write_checkpoint
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Supply


@pytest.fixture
def config(analysis_config):
    def make(work_dir, merge, runner='UniformSoupRunner', **soup):
        cfg = analysis_config(runner, work_dir)
        soup.setdefault('statistics', dict(num_samples=12))
        cfg.soup = dict(merge=merge, **soup)
        return cfg

    return make


def run(cfg, launcher='none'):
    cfg = copy.deepcopy(cfg)
    cfg.launcher = launcher
    return RUNNERS.build(cfg).run()


def files(work_dir):
    return sorted((Path(work_dir) / 'statistics').iterdir())


def soup(work_dir):
    return read_state_dict(Path(work_dir) / 'soup.pth')


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def pool_of(cfg):
    """Ingredients by the names that the pool has them under."""
    folder = Path(cfg.ingredients).parent
    entries = read_json(cfg.ingredients)['ingredients']
    return [Ingredient.from_file(folder / e['file'], e['name']) for e in entries]


def test_a_uniform_soup_by_fisher_is_the_formula_on_the_training_images(
    config, tmp_path
):
    cfg = config(tmp_path, 'fisher')
    with FusionSession() as session:
        report = RUNNERS.build(cfg).run(session)
        evaluator = session.setup(RUNNERS.build(cfg).cfg, print).evaluator
        images = TrainingImages(evaluator.cfg, 12)
        found = {}
        for member in pool_of(cfg):
            evaluator.load(member.load())
            batches = images.batches(evaluator.model)
            found[member.name] = Fisher(False).estimate(evaluator.model, batches)[0]
    merge = Merge('fisher').supplied(
        dict(fisher=Supply(lambda member: found[member.name], ''))
    )
    assert same(merge.load(pool_of(cfg), [1.0] * 6), soup(tmp_path))
    (one,) = report['statistics']
    sums = one.pop('members')
    assert [member['name'] for member in sums] == [*found]
    assert sums[0]['sum'] == pytest.approx(
        sum(float(v.double().sum()) for v in found[sums[0]['name']].values())
    )
    assert one.pop('seconds') > 0
    assert one == dict(
        name='fisher',
        title='Fisher information',
        num_samples=12,
        multilabel=False,
        labels='exact',
        made=6,
        backward_passes=6 * 12 * 9,
    )
    text = (tmp_path / 'report.md').read_text()
    assert 'Fisher information on 12 training images: 6 models, 648 backward' in text


@pytest.mark.parametrize(
    ('merge', 'count'),
    [
        (dict(type='fisher', floor=[1e-6, 0.1]), 2),
        (dict(type='gradient_matching', alpha=0.5, weight_decay=1e-3), 2),
        ('regmean', 2),
    ],
    ids=['fisher', 'gradient_matching', 'regmean'],
)
def test_groups_of_groups_are_merged_and_known_the_next_time(
    config, tmp_path, merge, count
):
    cfg = config(tmp_path, merge, 'GoUSoupRunner', bn_reestimation=dict(num_samples=16))
    report = run(cfg)
    # Six ingredients, and the soups of two groups.
    assert report['statistics'][0]['made'] == 6 + count == len(files(tmp_path))
    made = soup(tmp_path)
    assert all(torch.isfinite(v).all() for v in made.values())
    again = run(cfg)
    assert again['statistics'][0]['made'] == again['evaluations']['selection'] == 0
    assert same(soup(tmp_path), made)
    # Other images are other statistics, and another soup.
    other = config(
        tmp_path,
        merge,
        'GoUSoupRunner',
        bn_reestimation=dict(num_samples=16),
        statistics=dict(num_samples=20, labels='sampled'),
    )
    report = run(other)
    assert report['statistics'][0]['made'] == 6 + count
    assert report['evaluations']['selection'] and not same(soup(tmp_path), made)


def test_soups_of_one_command_have_them_in_common(config, tmp_path):
    with FusionSession() as session:
        made = [
            RUNNERS.build(config(tmp_path / name, 'fisher', runner)).run(session)
            for name, runner in (
                ('uniform', 'UniformSoupRunner'),
                ('greedy', 'GreedySoupRunner'),
            )
        ]
    assert [report['statistics'][0]['made'] for report in made] == [6, 0]
    assert not (tmp_path / 'greedy' / 'statistics').exists()


def test_an_interrupted_command_goes_on_with_the_next_model(
    config, tmp_path, monkeypatch
):
    cfg = config(tmp_path / 'broken', 'fisher', 'GreedySoupRunner')
    estimate, calls = Fisher.estimate, []

    def interrupted(self, *arguments):
        found = estimate(self, *arguments)
        calls.append(0)
        if len(calls) == 3:  # all is done but written
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Fisher, 'estimate', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(cfg)
    assert len(files(tmp_path / 'broken')) == 2
    unfinished = tmp_path / 'broken' / 'statistics' / '.fisher_x.pth.abc.part'
    unfinished.write_bytes(b'half')  # of a process that was killed while it wrote
    report = run(cfg)
    assert report['statistics'][0]['made'] == 4 and not unfinished.exists()
    run(config(tmp_path / 'whole', 'fisher', 'GreedySoupRunner'))
    assert [(f.name, sha256(f)) for f in files(tmp_path / 'broken')] == [
        (f.name, sha256(f)) for f in files(tmp_path / 'whole')
    ]
    assert same(soup(tmp_path / 'broken'), soup(tmp_path / 'whole'))


def truncated(file, malicious, other):
    file.write_bytes(file.read_bytes()[:-1000])


def evil(file, malicious, other):
    shutil.copy(malicious[0], file)


def another(file, malicious, other):
    shutil.copy(other, file)


def negative(file, malicious, other):
    content = torch.load(file, weights_only=True)
    content['state_dict']['head.fc.bias'][0] = -1
    write_checkpoint(content, file)


def zero(file, malicious, other):
    content = torch.load(file, weights_only=True)
    for value in content['state_dict'].values():
        value.zero_()
    write_checkpoint(content, file)


def no_checkpoint(file, malicious, other):
    file.write_text('nonsense')


DAMAGES = {
    truncated: 'truncated, damaged',
    no_checkpoint: 'damaged',
    evil: 'code from checkpoints',
    another: 'that of another model',
    negative: 'head.fc.bias is negative or no number',
    zero: 'is zero in all entries',
}


def test_a_file_that_is_not_what_its_name_says_is_named_and_does_not_run(
    config, tmp_path, malicious
):
    cfg = config(tmp_path / 'soup', 'fisher')
    run(cfg)
    first, other, *_ = files(cfg.work_dir)
    whole = first.read_bytes()
    for damage, words in DAMAGES.items():
        first.write_bytes(whole)
        damage(first, malicious, other)
        with pytest.raises(FFMMError, match=words) as error:
            run(cfg)
        assert str(first) in str(error.value) and '\n' not in str(error.value)
        assert 'remove the file, and it is made anew' in str(error.value)
        assert not malicious[1].exists()
    first.unlink()
    assert run(cfg)['statistics'][0]['made'] == 1
    assert first.read_bytes() == whole


def test_a_model_that_is_certain_of_everything_is_named(config, tmp_path):
    cfg = config(tmp_path / 'soup', 'fisher')
    weights = pool_of(cfg)[0].load()
    certain = {k: v.clone() for k, v in weights.items()}
    certain['head.fc.bias'][3] = 1e4
    for name, content in dict(usual=weights, certain=certain).items():
        write_checkpoint(dict(state_dict=content), tmp_path / f'{name}.pth')
    cfg.ingredients = str(tmp_path / '*.pth')
    with pytest.raises(FFMMError, match=r"'certain' is zero in all.*overfitted"):
        run(cfg)


def test_two_processes_give_what_one_gives(config, tmp_path):
    made = {}
    for name, size in dict(alone=1, candidates=2, images=2).items():
        cfg = config(tmp_path / name, 'fisher', 'GoGSoupRunner')
        cfg.evaluation = dict(parallel='auto' if size == 1 else name)
        launcher = 'none' if size == 1 else 'pytorch'
        made[name] = make(size, run, cfg, launcher)
    (alone,) = made['alone']
    for name, reports in made.items():
        assert [f.name for f in files(tmp_path / name)] == [
            f.name for f in files(tmp_path / 'alone')
        ]
        assert same(soup(tmp_path / name), soup(tmp_path / 'alone'))
        for report in reports:
            for key in ('made', 'backward_passes', 'members'):
                assert report['statistics'][0][key] == alone['statistics'][0][key]


def test_the_tree_of_such_a_soup_is_evaluated(config, analysis_config, tmp_path):
    cfg = config(tmp_path, 'fisher', 'GoUSoupRunner')
    made = run(cfg)
    before = files(tmp_path)
    tree_cfg = analysis_config(
        'SoupTreeRunner', tmp_path, soup_tree=dict(splits=['val'])
    )
    tree_cfg.soup = cfg.soup
    tree = run(tree_cfg)
    assert tree.root.value('accuracy') == pytest.approx(made['val']['accuracy'])
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (dict(statistics=dict(num_samples=0)), 'num_samples=0: expected a whole'),
        (dict(statistics=dict(num_samples=True)), 'num_samples=True: expected'),
        (dict(statistics=dict(labels='true')), "labels='true': expected 'exact' or"),
        (dict(statistics=dict(images=3)), "soup.statistics: unknown key 'images'"),
        (dict(statistics=3), 'soup.statistics=3: expected a dict'),
    ],
)
def test_options_that_are_none(config, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        RUNNERS.build(config(tmp_path, 'fisher', **changes))


@pytest.mark.parametrize('merge', ['fisher', 'regmean'])
def test_training_images_are_asked_for_before_anything_else(config, tmp_path, merge):
    cfg = config(tmp_path, merge, bn_reestimation=None)
    cfg.train_dataloader = None
    with pytest.raises(ConfigError, match='train_dataloader'):
        RUNNERS.build(cfg)
    RUNNERS.build(config(tmp_path, 'mean'))  # which needs none


def test_the_origin_is_asked_for_before_any_statistics(config, tmp_path):
    cfg = config(tmp_path, 'gradient_matching')
    cfg.ingredients = f'{Path(cfg.ingredients).parent}/ingredients/*.pth'
    with pytest.raises(ConfigError, match=r"needs 'origin'.*origin=FILE"):
        run(cfg)
    assert not (tmp_path / 'statistics').exists()


def test_images_are_shown_as_validation_s_whatever_wraps_them():
    inner = dict(type='A', pipeline=['augmented'], split='train')
    wrapped = dict(
        type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=inner)]
    )
    changed = _with_pipeline(wrapped, ['plain'])
    assert changed['datasets'][0]['dataset'] == dict(inner, pipeline=['plain'])
    assert inner['pipeline'] == ['augmented']
    assert _with_pipeline(inner, None) == inner
