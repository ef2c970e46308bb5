from __future__ import annotations

import pytest
from mmengine.config import Config

from ff_mm.datasets.image_cache.image_cache import CacheOptions, read_options
from ff_mm.errors import ConfigError


@pytest.mark.parametrize('value', [False, None, {}])
def test_nothing_is_cached_unless_asked_for(value):
    assert read_options(value) is None


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'cache_images': True}, CacheOptions()),
        ({'cache_images': False}, None),
        ({'cache_images.short_side': 256}, CacheOptions(short_side=256)),
        (
            {'cache_images.short_side': 64, 'cache_images.dir': '/x'},
            CacheOptions(64, '/x'),
        ),
    ],
)
def test_what_the_command_line_can_say(options, expected):
    cfg = Config(dict(cache_images=dict()))
    cfg.merge_from_dict(options)
    assert read_options(cfg.cache_images) == expected


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (256, r'cache_images=256: expected True, False or a dict'),
        ('ram', r"cache_images='ram': expected"),
        (dict(size=3), r"unknown key 'size', there are \['short_side', 'dir'\]"),
        (dict(short_side=0), r'cache_images\.short_side=0: expected'),
        (dict(short_side=True), r'cache_images\.short_side=True: expected'),
        (dict(short_side='256'), r"cache_images\.short_side='256': expected"),
        (dict(dir=3), r'cache_images\.dir=3: expected a folder'),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(value, message):
    with pytest.raises(ConfigError, match=message):
        read_options(value)
