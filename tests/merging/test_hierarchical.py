from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import read_json, write_json
from ff_mm.merging import (
    CheckpointError,
    Ingredient,
    Level,
    Scorer,
    Soup,
    check_ingredients,
    gog,
    gou,
    greedy,
    hierarchical,
    tree,
    uniform,
    write_checkpoint,
)

LEARNING_RATES = [1e-3, 5e-4, 1e-4, 5e-5, 1e-5, 5e-6, 1e-6, 1e-7]


def quadratic(state_dict):
    return -float((state_dict['w'].double() ** 2).sum())


def make_scorer(score):
    """A scorer by a function of the weights alone."""
    return Scorer(lambda candidate, _: score(candidate.load()))


def ingredients(groups=8, size=6, seed=0, known=True, dimensions=6):
    """Models of `groups` learning rates, each group with a bias of its own."""
    generator = np.random.default_rng(seed)
    found = []
    for lr in LEARNING_RATES[:groups]:
        bias = generator.normal(size=dimensions)
        for i in range(size):
            point = bias + generator.normal(size=dimensions)
            state = {'w': torch.tensor(point, dtype=torch.float32)}
            found.append(
                Ingredient(
                    f'lr{lr}_{i}',
                    lambda state=state: dict(state),
                    {'lr': lr, 'seed': i % 2, 'augmentation': 'abc'[i % 3]},
                    quadratic(state) if known else None,
                )
            )
    return found


def names(soup):
    return [member.name for member in soup.members]


# Against brute force


def greedy_by_hand(models):
    """[(array, weight by index)] -> the same of their greedy soup."""
    ranked = sorted(models, key=lambda m: (m[0] ** 2).sum())
    kept = ranked[:1]
    for candidate in ranked[1:]:
        new, old = mix([*kept, candidate])[0], mix(kept)[0]
        if (new**2).sum() < (old**2).sum():
            kept.append(candidate)
    return mix(kept)


def mix(models):
    weights = np.mean([weight for _, weight in models], axis=0)
    return np.mean([array for array, _ in models], axis=0), weights


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize(('levels', 'local'), [(gou(), mix), (gog(), greedy_by_hand)])
def test_gou_and_gog_by_hand(seed, levels, local):
    models = ingredients(groups=4, size=4, seed=seed)
    arrays = [
        (m.load()['w'].double().numpy(), np.eye(16)[i]) for i, m in enumerate(models)
    ]
    array, weights = greedy_by_hand([local(arrays[i : i + 4]) for i in range(0, 16, 4)])
    soup = hierarchical(models, levels, make_scorer(quadratic))
    assert soup.recipe == pytest.approx(
        {m.name: w for m, w in zip(models, weights, strict=True) if w}
    )
    np.testing.assert_allclose(soup.load()['w'], array, rtol=1e-4, atol=1e-5)
    assert soup.score == quadratic(soup.load())


def test_the_choice_by_hand_is_no_trivial_one():
    sizes = {
        len(hierarchical(ingredients(4, 4, seed), gog(), make_scorer(quadratic)).recipe)
        for seed in range(8)
    }
    assert len(sizes) >= 3


# Levels


@pytest.mark.parametrize('method', ['uniform', 'greedy', 'best'])
def test_one_level_is_the_plain_soup(method):
    from ff_mm.merging import SOUPS

    models = ingredients(3, 3)
    one = hierarchical(models, [Level(method)], make_scorer(quadratic), 'x')
    plain = SOUPS[method](models, make_scorer(quadratic), 'x')
    assert tree(one) == tree(plain)
    assert torch.equal(one.load()['w'], plain.load()['w'])


def test_three_levels_nest():
    models = ingredients(2, 4)
    levels = [
        Level('uniform', ['lr', 'seed']),
        Level('uniform', 'lr'),
        Level('uniform'),
    ]
    soup = hierarchical(models, levels, make_scorer(quadratic), 'top')
    assert names(soup) == ['lr=0.001', 'lr=0.0005']
    assert names(soup.members[0]) == ['lr=0.001, seed=0', 'lr=0.001, seed=1']
    assert names(soup.members[0].members[1]) == ['lr0.001_1', 'lr0.001_3']
    assert (soup.level, soup.members[0].level, models[0].level) == (3, 2, 0)
    assert soup.hyper == {}
    assert soup.members[1].hyper == {'lr': 5e-4}
    assert soup.recipe == pytest.approx({m.name: 1 / 8 for m in models})


def test_a_soup_may_go_into_another():
    models = ingredients(2, 3)
    scorer = make_scorer(quadratic)
    inner = uniform(models[:3], scorer, 'inner')
    soup = hierarchical([inner, *models[3:]], gou(), scorer)
    by_levels = hierarchical(models, gou(), scorer)
    assert soup.recipe == pytest.approx(by_levels.recipe)


def test_groups_keep_the_order_of_first_appearance_and_go_by_value():
    def make(name, **hyper):
        return Ingredient(name, lambda: {'w': torch.ones(1)}, hyper, 0.0)

    models = [
        make('a', size=[2, 2]),
        make('b', size='2'),
        make('c', size=(2.0, 2)),
        make('d', size=2),
        make('e', size=2.0),
    ]
    levels = [Level('uniform', 'size'), Level('uniform')]
    soup = hierarchical(models, levels, make_scorer(quadratic))
    assert [names(group) for group in soup.members] == [['a', 'c'], ['b'], ['d', 'e']]
    # '2' and 2 have one label, but stay two groups: none gets lost.
    assert names(soup) == ['size=[2, 2]', 'size=2', 'size=2']


def test_a_diverged_group_does_not_end_gou():
    models = ingredients(3, 3)
    broken = [
        Ingredient(m.name, lambda: {'w': torch.full((6,), math.nan)}, m.hyper, math.nan)
        for m in models[:3]
    ]
    soup = hierarchical([*broken, *models[3:]], gou(), make_scorer(quadratic))
    assert soup.steps[-1].candidate == 'lr=0.001'
    assert soup.steps[-1].reason == 'its own score is NaN'
    assert not set(soup.recipe) & {m.name for m in broken}


# Evaluations


def test_the_number_of_evaluations():
    models = ingredients()
    apart = [make_scorer(quadratic), make_scorer(quadratic)]
    hierarchical(models, gou(), apart[0])
    hierarchical(models, gog(), apart[1])
    assert apart[0].evaluations == 8 + 7
    assert 40 < apart[1].evaluations <= 8 * 5 + 7
    together = make_scorer(quadratic)
    hierarchical(models, gou(), together)
    hierarchical(models, gog(), together)
    assert together.evaluations <= sum(scorer.evaluations for scorer in apart) <= 62


def test_a_shared_scorer_saves_and_changes_nothing():
    models = ingredients(4, 3, seed=5, known=False)
    shared = make_scorer(quadratic)
    soups = [hierarchical(models, levels, shared) for levels in (gou(), gog())]
    fresh = [make_scorer(quadratic), make_scorer(quadratic)]
    again = [
        hierarchical(models, levels, scorer)
        for levels, scorer in zip((gou(), gog()), fresh, strict=True)
    ]
    assert [s.recipe for s in soups] == [s.recipe for s in again]
    before = shared.evaluations
    hierarchical(models, gog(), shared)
    greedy(models, shared, 'plain')
    assert before < shared.evaluations <= before + len(models) - 1


# Mistakes, found before anything is scored or loaded


def never(*_):
    raise AssertionError('was called')


def unloadable(count=4):
    return [
        Ingredient(f'm{i}', never, {'lr': 10.0**-i, 'seed': 0}) for i in range(count)
    ]


@pytest.mark.parametrize(
    ('levels', 'match'),
    [
        (
            [Level('greedy', 'lr')],
            r'level 1, greedy by lr.* leaves 4: lr=1\.0, lr=0\.1',
        ),
        ([Level('uniform', 'seed'), Level('greedy', 'lr')], "level 2 .*'lr'.*'seed=0'"),
        (gou('learning_rate'), "level 1 .*'learning_rate', which 'm0'.*'lr', 'seed'"),
        ([], 'no levels'),
    ],
)
def test_levels_that_do_not_fit(levels, match):
    with pytest.raises(ConfigError, match=match):
        hierarchical(unloadable(), levels, make_scorer(never))


def test_no_ingredients_unknown_soup_and_twins():
    with pytest.raises(ConfigError, match='no ingredients'):
        hierarchical([], gou(), make_scorer(never))
    with pytest.raises(ConfigError, match="no soup 'gredy'; there are uniform, greedy"):
        Level('gredy')
    twins = [Ingredient('a', never, {'lr': lr}) for lr in (1, 2)]
    with pytest.raises(FFMMError, match="called 'a'"):
        hierarchical(twins, gou(), make_scorer(never))


def test_an_ingredient_without_hyper_parameters():
    with pytest.raises(ConfigError, match="'bare' does not have; it has nothing"):
        hierarchical([Ingredient('bare', never)], gou(), make_scorer(never))


def test_a_last_level_by_key_is_fine_if_it_leaves_one():
    soup = hierarchical(
        ingredients(1, 3), [Level('uniform', 'lr')], make_scorer(quadratic)
    )
    assert soup.name == 'soup'


# The tree


def test_the_tree_tells_all_and_is_json(tmp_path):
    models = ingredients(4, 3)
    soup = hierarchical(models, gog(), make_scorer(quadratic), 'gog')
    described = tree(soup)
    write_json(described, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == json.loads(json.dumps(described))

    def leaves(node):
        below = [*node.get('members', []), *node.get('rejected', [])]
        return [leaf for n in below for leaf in leaves(n)] if below else [node]

    found = leaves(described)
    assert sorted(leaf['name'] for leaf in found) == sorted(m.name for m in models)
    weights = {leaf['name']: leaf['weight'] for leaf in found if leaf['weight']}
    assert weights == pytest.approx(soup.recipe)
    assert described['level'] == 2
    assert described['score'] == soup.score
    assert {n['method'] for n in described['members']} == {'greedy'}
    assert described['rejected'], 'nothing was rejected: this tests less than it says'
    assert len(described['steps']) == 4
    assert described['steps'][0]['accepted'] is True


# From files


def test_from_files_to_one_model(tmp_path):
    models = []
    for i, model in enumerate(ingredients(3, 3, known=False)):
        path = tmp_path / 'ingredients' / f'{i}.pth'
        state = {**model.load(), 'n': torch.tensor(i)}
        write_checkpoint({'state_dict': state, 'meta': {}}, path)
        models.append(Ingredient.from_file(path, model.name, model.hyper))
    check_ingredients(models)
    soup = hierarchical(models, gou(), make_scorer(quadratic))
    first = soup
    while isinstance(first, Soup):
        first = first.members[0]
    assert soup.load()['n'] == first.load()['n']
    one = write_checkpoint({'state_dict': soup.load()}, tmp_path / 'a.pth')
    again = hierarchical(models, gou(), make_scorer(quadratic))
    assert write_checkpoint({'state_dict': again.load()}, tmp_path / 'b.pth') == one
    (tmp_path / 'ingredients' / '4.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match=r'4\.pth: is empty'):
        hierarchical(models, gou(), make_scorer(quadratic))


# A store for the soups below the top

THREE = [Level('greedy', ['lr', 'seed']), Level('uniform', 'lr'), Level('greedy')]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('levels', [gou(), gog(), THREE, [Level('greedy')]])
def test_a_store_changes_nothing(tmp_path, levels, seed):
    models = ingredients(4, 4, seed=seed)
    plain = hierarchical(models, levels, make_scorer(quadratic))
    stored = hierarchical(models, levels, make_scorer(quadratic), store=tmp_path)
    assert tree(stored) == tree(plain)
    assert torch.equal(stored.load()['w'], plain.load()['w'])
    assert stored.checkpoint is None

    def check(soup, top):
        if isinstance(soup, Soup):
            assert (soup.checkpoint is not None) is (len(soup.members) > 1 and not top)
            for member in soup.members + soup.rejected:
                check(member, False)

    check(stored, True)


def test_the_store_holds_a_file_a_soup_of_several_and_nothing_else(tmp_path):
    models = ingredients(3, 2)[1:]  # groups of 1, 2 and 2
    for name in ('one', 'two'):  # no file is written over in a second call
        hierarchical(models, gou(), make_scorer(quadratic), name, store=tmp_path)
    files = list(tmp_path.iterdir())
    assert len(files) == 4 and all(file.suffix == '.pth' for file in files)


def test_a_stored_soup_is_computed_once(tmp_path):
    """Each member is read once for it, and not again for the levels above."""
    loads = []

    def counted(model):
        return Ingredient(
            model.name,
            lambda: loads.append(1) or model.read(),
            model.hyper,
            model.score,
        )

    models = [counted(model) for model in ingredients(4, 3)]
    hierarchical(models, gou(), make_scorer(quadratic), store=tmp_path).load()
    assert len(loads) == len(models)
    loads.clear()
    hierarchical(models, gou(), make_scorer(quadratic)).load()
    assert len(loads) > 2 * len(models)


def test_labels_of_groups_make_no_names_of_files(tmp_path):
    models = [
        Ingredient(f'{i}', lambda: {'w': torch.ones(2)}, {'kind': kind}, 0.5)
        for i, kind in enumerate(['../x', '../x', '/etc', '/etc', 'a\0b', 'a\0b'])
    ]
    store = tmp_path / 'deep' / 'store'
    hierarchical(models, gou('kind'), make_scorer(quadratic), store=store)
    assert len(list(store.iterdir())) == 3
    assert [p.name for p in tmp_path.iterdir()] == ['deep']
