from __future__ import annotations

import pytest
from mmengine.config import Config
from rich.console import Console

from ff_mm.datasets.image_cache.image_cache import CacheOptions, ImageCache
from ff_mm.errors import ConfigError


def cache_of(value, tmp_path):
    return ImageCache(value, tmp_path, Console(quiet=True))


@pytest.mark.parametrize('value', [False, None, {}])
def test_nothing_is_cached_unless_asked_for(value, tmp_path):
    assert not cache_of(value, tmp_path).is_on


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
def test_what_the_command_line_can_say(options, expected, tmp_path):
    cfg = Config(dict(cache_images=dict()))
    cfg.merge_from_dict(options)
    cache = cache_of(cfg.cache_images, tmp_path)
    assert (cache.options if cache.is_on else None) == expected


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (256, r'cache_images=256: expected a dict with some of'),
        ('ram', r"cache_images='ram': expected"),
        (dict(size=3), r"unknown key 'size', there are \['short_side', 'dir'\]"),
        (dict(short_side=0), r'cache_images\.short_side=0: expected'),
        (dict(short_side=True), r'cache_images\.short_side=True: expected'),
        (dict(short_side='256'), r"cache_images\.short_side='256': expected"),
        (dict(dir=3), r'cache_images\.dir=3: expected a folder'),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(value, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        cache_of(value, tmp_path)
