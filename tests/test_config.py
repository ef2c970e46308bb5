from __future__ import annotations

import copy
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from ff_mm import cores
from ff_mm.config import (
    check_names,
    load_config,
    read_options,
    resolve,
    without_pretrained,
)
from ff_mm.config_loaders import ood_dataloaders, set_dataloader_defaults, with_defaults
from ff_mm.errors import ConfigError
from ff_mm.option_values import OptionText

ROOT = Path(__file__).parents[1]


def resolved(**values):
    return resolve(Config(values)).to_dict()


def test_a_reference_is_replaced_by_the_value_wherever_it_stands():
    cfg = resolved(size=8, a=dict(b=[dict(scale='${size}'), ('${size}', 2)]))
    assert cfg['a'] == dict(b=[dict(scale=8), (8, 2)])


def test_types_of_values_survive():
    cfg = resolved(mean=[1.5, 2], flag=False, nothing=None, pair=(1, 2), big='${pair}')
    assert cfg['big'] == (1, 2)
    assert resolved(x=None, y='${x}')['y'] is None
    assert resolved(x=False, y='${x}')['y'] is False
    assert resolved(x=[1], y='${x}')['y'] == [1]


def test_references_nest_and_lead_on():
    cfg = resolved(
        which='heavy',
        sets=dict(heavy=dict(size='${size}'), light=dict(size=1)),
        size=7,
        result='${sets.${which}.size}',
        whole='${sets.${which}}',
    )
    assert cfg['result'] == 7
    assert cfg['whole'] == dict(size=7)


def test_a_list_in_a_list_is_spliced_and_a_dict_is_not():
    steps = [dict(type='A'), dict(type='B')]
    cfg = resolved(
        steps=steps,
        one=dict(type='C'),
        none=[],
        pipeline=['${steps}', '${one}', '${none}', dict(type='D')],
    )
    assert [step['type'] for step in cfg['pipeline']] == ['A', 'B', 'C', 'D']


def test_the_config_itself_keeps_its_references_and_copies_are_apart():
    cfg = Config(dict(steps=[dict(a=1)], x='${steps}', y='${steps}'))
    result = resolve(cfg)
    result.x[0].a = 2
    assert (result.y[0].a, result.steps[0].a) == (1, 1)
    assert cfg.x == '${steps}'


@pytest.mark.parametrize(
    'text', ['$size', '${size', 'size}', 'a ${size}', '', '{size}']
)
def test_other_strings_are_left_alone(text):
    assert resolved(size=1, a=text)['a'] == text


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (dict(a='${size}'), r"\$\{size\} points to nothing: no 'size'"),
        (dict(b=dict(c=1), a='${b.d}'), r"no 'd'; there are c"),
        (dict(b=3, a='${b.d}'), "no 'd'"),
        (dict(a='${a}'), 'points to itself'),
        (dict(a='${b}', b='${a}'), 'points to itself'),
        (dict(a='${}'), r'is not a reference'),
        (dict(a=dict(b='${a}')), 'points to itself'),
    ],
)
def test_a_reference_to_nothing_or_in_a_circle_is_an_error(values, message):
    with pytest.raises(ConfigError, match=message):
        resolved(**values)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        "model = dict(type='A', depth=18)\nimage_size = 32\nscale = '${image_size}'\n"
    )
    return path


def test_options_come_before_references(config_file):
    cfg = load_config(config_file, {'image_size': 8, 'model.depth': 50})
    assert cfg.scale == '${image_size}'
    assert resolve(cfg).scale == 8
    assert cfg.model == dict(type='A', depth=50)


def test_the_work_dir_is_named_after_the_file_unless_the_config_says_otherwise(
    config_file,
):
    assert load_config(config_file).work_dir == 'work_dirs/mine'
    assert load_config(config_file, {'work_dir': 'x'}).work_dir == 'x'


def test_a_misspelled_option_is_refused_with_the_likely_one(config_file):
    with pytest.raises(ConfigError, match=r"'imagesize'.*did you mean 'image_size'"):
        load_config(config_file, {'imagesize': 8})
    with pytest.raises(ConfigError, match=r"no 'zzz', nothing would read it"):
        load_config(config_file, {'zzz.a': 8})


def test_an_option_without_what_stands_above_it_is_answered_with_all_of_it(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        'classes = None\n'
        'data_preprocessor = dict(num_classes=2)\n'
        "model = dict(head=dict(num_classes='${data_preprocessor.num_classes}'))\n"
        'plan = dict(base=dict(epochs=1), fission=dict(epochs=2))\n'
    )
    with pytest.raises(
        ConfigError, match=r"you mean 'data_preprocessor.num_classes'\?$"
    ):
        load_config(path, {'num_classes': 7})
    with pytest.raises(
        ConfigError, match=r"'plan.base.epochs' or 'plan.fission.epochs'\?$"
    ):
        load_config(path, {'epochs': 7})
    with pytest.raises(ConfigError, match=r"mean 'plan.base.epochs'\?$"):
        load_config(path, {'base.epochs': 7})


def test_options_that_a_runner_knows_need_not_be_in_the_config(config_file):
    options = {'randomness.seed': 3, 'load_from': 'x.pth', 'origin': 'y.pth'}
    cfg = load_config(config_file, options)
    assert cfg.randomness.seed == 3


def test_a_recipe_lies_between_a_config_and_options(config_file, tmp_path):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text('image_size = 9\nmodel = dict(depth=34, wide=True)\n')
    cfg = load_config(config_file, {'image_size': 8}, recipe=recipe)
    assert cfg.image_size == 8
    assert cfg.model == dict(type='A', depth=34, wide=True)
    assert cfg.work_dir == 'work_dirs/mine'
    with pytest.raises(ConfigError, match=r'--recipe absent\.py: no such config file'):
        load_config(config_file, recipe='absent.py')
    recipe.write_text('image_size = dict(x=1)\n')
    with pytest.raises(ConfigError, match=r'--recipe .*: image_size=.* does not fit'):
        load_config(config_file, recipe=recipe)


def test_no_such_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r'absent\.py: no such config file'):
        load_config(tmp_path / 'absent.py')


@pytest.mark.parametrize(
    ('loader', 'expected'),
    [
        (dict(num_workers=0, persistent_workers=True), (0, False)),
        (dict(), (0, False)),
        (dict(num_workers=2), (2, True)),
        (dict(num_workers=2, persistent_workers=False), (2, False)),
    ],
)
def test_workers_persist_only_where_there_are_any(loader, expected):
    cfg = Config(dict(train_dataloader=loader, val_dataloader=None))
    names = 'train_dataloader', 'val_dataloader', 'absent'
    set_dataloader_defaults(cfg, dict(type='default_collate'), *names)
    filled = cfg.train_dataloader
    assert (filled.num_workers, filled.persistent_workers) == expected
    assert filled.collate_fn == dict(type='default_collate')
    assert cfg.val_dataloader is None


def test_workers_are_as_many_as_there_are_cores_where_that_is_left_open(monkeypatch):
    monkeypatch.setattr(cores, 'own_cores', lambda: 7)
    filled = with_defaults(dict(num_workers='auto'), None)
    assert filled.num_workers == 7
    assert 'collate_fn' not in filled
    with pytest.raises(ConfigError, match=r"num_workers='many': expected .* 'auto'"):
        with_defaults(dict(num_workers='many'), None)


def test_shipped_configs_start_no_more_workers_than_there_are_cores(monkeypatch):
    bound = {0, 1, 2}
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: bound, raising=False)
    for file in sorted((ROOT / 'configs').glob('*_resnet*.py')):
        cfg = resolve(load_config(file))
        for name in ('train', 'val', 'test'):
            number = with_defaults(cfg[f'{name}_dataloader'], None).num_workers
            with warnings.catch_warnings():
                warnings.simplefilter('error')  # torch has one of too many
                DataLoader(range(4), num_workers=number)


def test_a_number_of_workers_is_one_in_place_of_auto(tmp_path):
    file = tmp_path / 'c.py'
    file.write_text("train_dataloader = dict(num_workers='auto')")
    option = {'train_dataloader.num_workers': OptionText('8')}
    assert load_config(file, option).train_dataloader.num_workers == 8


def test_pretrained_weights_are_left_out_at_any_depth_and_nothing_else():
    init = dict(type='Pretrained', checkpoint='x')
    model = dict(
        init_cfg=init,
        pretrained='y.pth',
        parts=[dict(init_cfg=init, depth=3), dict(init_cfg=dict(type='Xavier'))],
        backbone=dict(pretrained=True, checkpoint_path='z'),
    )
    before = copy.deepcopy(model)
    assert without_pretrained(model) == dict(
        init_cfg=None,
        pretrained=None,
        parts=[dict(init_cfg=None, depth=3), dict(init_cfg=dict(type='Xavier'))],
        backbone=dict(pretrained=False, checkpoint_path=''),
    )
    assert model == before


def test_pretrained_within_a_list_of_initialisations_is_left_out():
    init = [dict(type='Xavier'), dict(type='Pretrained', checkpoint='x')]
    (kept,) = without_pretrained(dict(init_cfg=init))['init_cfg']
    assert kept == dict(type='Xavier')


def test_weights_that_are_none_leave_the_model_its_own_initialisation():
    init = dict(type='Pretrained', checkpoint='${starting_weights}', prefix='a')
    backbones = dict(
        one=dict(init_cfg=init, depth=18),
        others=[dict(init_cfg=init), dict(init_cfg=dict(type='Xavier'))],
        none=dict(init_cfg=None),
    )
    cfg = Config(dict(starting_weights=None, model=backbones))
    assert resolve(cfg).model.to_dict() == dict(
        one=dict(depth=18),
        others=[dict(), dict(init_cfg=dict(type='Xavier'))],
        none=dict(init_cfg=None),
    )
    cfg.starting_weights = 'x.pth'
    assert resolve(cfg).model.one.init_cfg.checkpoint == 'x.pth'


TEST_LOADER = dict(
    batch_size=4,
    dataset=dict(
        type='HAM10000', data_root='data', split='test', pipeline=[1], test_mode=True
    ),
)


def test_an_ood_set_says_only_what_differs_from_the_test_set():
    cfg = Config(
        dict(
            test_dataloader=TEST_LOADER,
            ood_dataloaders=dict(
                other=dict(dataset=dict(split='all', sources=['rosendahl'])),
                quick=dict(batch_size=8),
            ),
        )
    )
    loaders = ood_dataloaders(cfg)
    assert loaders['other']['batch_size'] == 4
    assert loaders['other']['dataset'] == dict(
        TEST_LOADER['dataset'], split='all', sources=['rosendahl']
    )
    assert loaders['quick'] == dict(TEST_LOADER, batch_size=8)


def test_an_ood_set_of_another_type_takes_over_the_pipeline_alone():
    ood = dict(cifar=dict(dataset=dict(type='CIFAR10', data_prefix='cifar')))
    cfg = Config(dict(test_dataloader=TEST_LOADER, ood_dataloaders=ood))
    assert ood_dataloaders(cfg)['cifar']['dataset'] == dict(
        type='CIFAR10', data_prefix='cifar', pipeline=[1], test_mode=True
    )


def test_an_ood_set_can_be_left_out():
    sets = dict(messidor=dict(dataset=dict(type='Messidor')), quick=dict())
    cfg = Config(dict(test_dataloader=TEST_LOADER, ood_dataloaders=sets))
    cfg.merge_from_dict({'ood_dataloaders.messidor': None})
    assert list(ood_dataloaders(cfg)) == ['quick']


def test_an_ood_set_without_a_test_set_is_refused():
    with pytest.raises(ConfigError, match='test_dataloader'):
        ood_dataloaders(Config(dict(ood_dataloaders=dict(a=dict(batch_size=8)))))
    assert ood_dataloaders(Config(dict(model=dict()))) == {}


@dataclass(frozen=True)
class Options:
    points: int = 9
    names: list[str] | None = None

    def __post_init__(self):
        check_names('lmc.names', self.names)


class TestReadOptions:
    def test_what_the_config_does_not_say_has_its_default(self):
        assert read_options(Options, None, 'lmc') == Options()
        assert read_options(Options, dict(points=3), 'lmc') == Options(3)
        cfg = Config(dict(lmc=dict(names=['a'])))
        assert read_options(Options, cfg.lmc, 'lmc').names == ['a']

    @pytest.mark.parametrize(
        ('values', 'message'),
        [
            (dict(pionts=3), r"lmc: unknown key 'pionts', there are \['points', "),
            (3, r'lmc=3: expected a dict with some of'),
            (dict(names='a'), r"lmc\.names='a': expected a list of names, or None"),
            (dict(names=[]), r'lmc\.names=\[\]'),
            (dict(names=[1]), r'lmc\.names=\[1\]'),
        ],
    )
    def test_mistakes(self, values, message):
        with pytest.raises(ConfigError, match=message):
            read_options(Options, values, 'lmc')
