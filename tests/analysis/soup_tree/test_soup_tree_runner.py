from __future__ import annotations

import json
from pathlib import Path

import pytest
from analyses import rows, run
from mmengine.registry import RUNNERS

from ff_mm.analysis.soup_tree.soup_tree_runner import SoupTreeRunner
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import read_json, write_json
from ff_mm.fusion.session import FusionSession
from ff_mm.merging import read_state_dict

SETS = ['val', 'test', 'ood/corrupted']
GOU = dict(soup=dict(group_by='lr'))


@pytest.fixture
def gou(analysis_config):
    """A GoU soup in the work directory: its report."""
    return RUNNERS.build(analysis_config('GoUSoupRunner', **GOU)).run()


@pytest.fixture
def tree_config(analysis_config, gou):
    """A function: the config of the tree of that soup."""

    def make(**changes):
        return analysis_config(SoupTreeRunner.__name__, **GOU, **changes)

    return make


def by_name(tree):
    return {node.name: node for _, node in tree.nodes()}


def test_without_sets_the_report_is_enough(tree_config, gou, tmp_path, capsys):
    cfg = tree_config(
        ingredients=str(tmp_path / 'gone.json'),
        val_dataloader__dataset=dict(type='NoSuchData', _delete_=True),
    )
    tree = run(cfg)
    folder = Path(cfg.work_dir) / 'soup_tree'
    files = {file.name for file in folder.iterdir()}
    assert files == {
        'soup_tree.txt', 'nodes.csv', 'soup_tree.png', 'soup_tree.svg'
    }  # fmt: skip
    assert tree.root.recipe == {i['name']: i['weight'] for i in gou['ingredients']}
    text = (folder / 'soup_tree.txt').read_text()
    out = capsys.readouterr().out
    assert text in out and f'{folder}/soup_tree.svg' in out
    for node in by_name(tree):
        assert node in text


def test_each_node_is_evaluated_on_each_set(tree_config, gou, small_pool):
    cfg = tree_config(soup_tree=dict(splits=SETS, metrics=['accuracy', 'loss']))
    runner = RUNNERS.build(cfg)
    with FusionSession() as session:
        tree = runner.run(session)
        evaluator = runner.setup.evaluator
        entries = read_json(f'{small_pool.work_dir}/ingredients.json')['ingredients']
        files = {e['name']: f'{small_pool.work_dir}/{e["file"]}' for e in entries}
        for name, node in by_name(tree).items():
            parts = {n: read_state_dict(files[n]) for n in node.recipe}
            evaluator.load(
                {
                    key: sum(w * parts[n][key] for n, w in node.recipe.items())
                    if value.is_floating_point()
                    else value
                    for key, value in next(iter(parts.values())).items()
                }
            )
            for split in SETS:
                expected = evaluator.evaluate(split)
                for metric in ('accuracy', 'loss'):
                    found = node.value(metric, split)
                    assert found == pytest.approx(expected[metric], rel=1e-4), name
    reached = dict(val=gou['val'], test=gou['test'])
    reached['ood/corrupted'] = gou['ood']['corrupted']
    for split, metrics in reached.items():
        for metric in ('accuracy', 'loss'):
            found = tree.root.value(metric, split)
            assert found == pytest.approx(metrics[metric], rel=1e-4)


def test_equal_recipes_are_one_evaluation_and_none_is_made_twice(tree_config, passes):
    cfg = tree_config(soup_tree=dict(splits=['test']))
    passes.clear()  # those of the soup
    tree = run(cfg)
    recipes = {frozenset(node.recipe.items()) for node in by_name(tree).values()}
    # The soup that was made, and the best single model, have been evaluated before.
    assert passes == ['test'] * (len(recipes) - 2)
    assert run(cfg) == tree
    assert len(passes) == len(recipes) - 2


def test_on_validation_all_is_known(tree_config, passes):
    cfg = tree_config(soup_tree=dict(splits=['val']))
    passes.clear()
    tree = run(cfg)
    assert passes == []
    assert None not in {node.value('loss') for node in by_name(tree).values()}


def test_a_figure_a_set_and_metric_and_all_in_the_table(tree_config):
    cfg = tree_config(soup_tree=dict(splits=['test', 'ood/corrupted']))
    tree = run(cfg)
    folder = Path(cfg.work_dir) / 'soup_tree'
    assert {file.stem for file in folder.glob('*.svg')} == {
        'soup_tree',
        'soup_tree_test_accuracy',
        'soup_tree_test_loss',
        'soup_tree_ood_corrupted_accuracy',
        'soup_tree_ood_corrupted_loss',
    }
    table = rows(folder / 'nodes.csv')
    for row, (_, node) in zip(table, tree.nodes(), strict=True):
        assert row['name'] == node.name
        assert float(row['test/loss']) == node.value('loss', 'test')
        assert float(row['val/accuracy']) == node.value('accuracy')


@pytest.mark.parametrize('method', ['BestIngredientRunner', 'UniformSoupRunner'])
def test_single_levels_have_a_tree_too(analysis_config, method):
    RUNNERS.build(analysis_config(method)).run()
    tree = run(analysis_config(SoupTreeRunner.__name__))
    assert len(tree.root.children) == 6
    assert tree.root.level == 1


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(split='val'), "soup_tree: unknown key 'split'"),
        (dict(splits='val'), "soup_tree.splits='val': expected a list of names"),
        (dict(splits=[1]), 'soup_tree.splits=\\[1\\]: expected a list of names'),
        (dict(splits=['tset']), "soup_tree: there is no set 'tset', there are"),
        (dict(metrics=['loss']), 'say by soup_tree.splits'),
    ],
)
def test_a_wrong_option_is_one_clear_error(tree_config, options, expected):
    with pytest.raises(ConfigError, match=expected):
        RUNNERS.build(tree_config(soup_tree=options))


def test_an_unknown_metric_is_one_clear_error(tree_config):
    cfg = tree_config(soup_tree=dict(splits=['val'], metrics=['acuracy']))
    with pytest.raises(ConfigError, match='acuracy'):
        run(cfg)


def test_before_the_soup_the_command_is_named(analysis_config, tmp_path):
    cfg = analysis_config(SoupTreeRunner.__name__)
    with pytest.raises(FFMMError, match=r'make it first: python tools/soup.py \S+$'):
        RUNNERS.build(cfg)
    cfg.soup_command = 'python tools/soup.py x.py --soup best'
    with pytest.raises(FFMMError, match=f'first: {cfg.soup_command}$'):
        RUNNERS.build(cfg)
    assert not (tmp_path / 'analysis').exists()


def test_an_ingredient_that_is_gone_is_one_clear_error(tree_config):
    cfg = tree_config(soup_tree=dict(splits=['val']))
    file = Path(cfg.work_dir) / 'report.json'
    report = read_json(file)
    name = report['ingredients'][0]['name']
    file.write_text(json.dumps(report).replace(name, 'gone'))
    with pytest.raises(
        ConfigError, match=r"'gone' is not in the pool .* again: python"
    ):
        run(cfg)


def test_values_that_differ_from_the_report_are_said(tree_config, capsys):
    cfg = tree_config(soup_tree=dict(splits=['val']))
    run(cfg)
    assert 'note' not in capsys.readouterr().out
    file = Path(cfg.work_dir) / 'report.json'
    report = read_json(file)
    report['tree']['score'] += 0.1
    write_json(report, file)
    run(cfg)
    assert "note: accuracy of 'gou' is" in capsys.readouterr().out
