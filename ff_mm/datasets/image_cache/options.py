"""What ``cache_images`` says in a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ff_mm.errors import ConfigError


@dataclass(frozen=True)
class CacheOptions:
    """How images are cached.

    Attributes:
        short_side: To which training images are shrunk once, in pixels; smaller ones
            stay as they are. None: at the size that they have.
        dir: Folder in which the cache is made, such as a faster disk. None: the work
            directory.

    Raises:
        ConfigError: A value that is none of these.
    """

    short_side: int | None = None
    dir: str | None = None

    def __post_init__(self) -> None:
        side = self.short_side
        if side is not None and (type(side) is not int or side < 1):
            raise ConfigError(
                f'cache_images.short_side={side!r}: expected a number of pixels'
            )
        if self.dir is not None and not isinstance(self.dir, str):
            raise ConfigError(f'cache_images.dir={self.dir!r}: expected a folder')


def read_options(value: Any) -> CacheOptions | None:
    """Reads the key ``cache_images`` of a config.

    Args:
        value: True; or a dict with ``short_side`` or ``dir`` or both. False, None or an
            empty dict: nothing is cached. (An empty dict is what ``--cfg-options
            cache_images.short_side=256`` can be merged into.)

    Returns:
        The options, or None.

    Raises:
        ConfigError: Something else, or a key that does not exist.
    """
    if not value:
        return None
    if value is True:
        return CacheOptions()
    known = [field.name for field in fields(CacheOptions)]
    if not isinstance(value, Mapping):
        raise ConfigError(
            f'cache_images={value!r}: expected True, False or a dict of {known}'
        )
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise ConfigError(
            f'cache_images: unknown key {unknown[0]!r}, there are {known}'
        )
    return CacheOptions(**value)
