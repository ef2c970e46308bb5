"""Reading configs: ``--cfg-options``, and references between values.

MMEngine's inheritance cannot let one overridden value reach the places that were
computed from it: ``image_size = 64`` in a child config leaves the base's pipelines at
224. So that a value stands in one place, a string that is exactly ``'${key.path}'``
stands for the value at that path of the *final* config. References nest
(``'${augmentations.${augmentation}}'``), and inside a list a reference to a list is
spliced in. The notation is OmegaConf's; OmegaConf itself cannot carry MMEngine's
tuples and types.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmengine.config import Config
from mmengine.runner import Runner

from ff_mm.config_files import find_config, split_name, where_now
from ff_mm.errors import ConfigError
from ff_mm.option_values import OptionText, at, likely, read_value
from ff_mm_commands.folders import soup_names

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_INNERMOST = re.compile(r'\$\{([^${}]+)\}')
_MAX_DEPTH = 20

T = TypeVar('T', bound='DataclassInstance')

# What the tools themselves put into a config, or read from it.
_TOOL_KEYS = {'auto_scale_lr', 'runner_type', 'custom_imports', 'resume', 'load_from'}
# Where the training of a pool's ingredients has begun, be it that its manifest says so.
_TOOL_KEYS |= {'origin', 'task'}
# Analyses of the pool of any fusion config, be it that it says nothing of them.
ANALYSES = ('lmc', 'loss_surface', 'trajectory', 'soup_tree', 'overlays')
_TOOL_KEYS |= set(ANALYSES)


def load_config(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    soup: Path | None = None,
    recipe: str | Path | None = None,
) -> Config:
    """Reads a config file and merges ``--cfg-options`` into it.

    References are left as they are, so that a plan can still change what they point
    to; see :func:`resolve`.

    Args:
        path: The config file, or its name, see :func:`~ff_mm.config_files.find_config`.
        options: Dotted keys and their values; those that are
            :class:`~ff_mm.option_values.OptionText` are read as of the command line.
        soup: A file of ``_base_/soups/``, whose soup takes the place of the config's.
        recipe: A config file such as ``_base_/gpu.py``, whose values take the place of
            the config's, and give way to options. (As one more base it would be
            refused: two bases must not say the same key.)

    Returns:
        The config; ``work_dir`` is ``work_dirs/<name of the file>`` if nothing says
        otherwise. With another soup the name is that soup's, or the work directory a
        folder in the one that is said.

    Raises:
        ConfigError: No such file, an option whose first name nothing would read, or a
            value that does not fit the config.
    """
    path = find_config(path)
    cfg = _read_file(path)
    if soup is not None:
        _replace_soup(cfg, soup)
    if recipe is not None:
        _put_on_top(cfg, recipe)
    for key in options or {}:
        _check_option(key, cfg)
    _merge(options or {}, cfg)
    cfg.work_dir = _work_dir(cfg.get('work_dir'), Path(path).stem, soup)
    return cfg


def _put_on_top(cfg: Config, recipe: str | Path) -> None:
    try:
        recipe = find_config(recipe)
    except ConfigError as error:
        raise ConfigError(f'--recipe {error}') from None
    for key, value in _read_file(recipe).to_dict().items():
        _put(cfg, key, value, f'--recipe {recipe}: {key}={value!r}')


def _merge(options: Mapping[str, Any], cfg: Config) -> None:
    for key, value in options.items():
        if isinstance(value, OptionText):
            value = read_value(key, value, at(cfg.to_dict(), key))
        said = f'--cfg-options {key}={value!r}:'
        if isinstance(options[key], OptionText) and isinstance(value, dict):
            # What is given and no more, be there another map or None.
            _put(cfg, key, None, said)
            value = {'_delete_': True, **value}
        _put(cfg, key, value, said)


def _put(cfg: Config, key: str, value: Any, said: str) -> None:
    try:
        cfg.merge_from_dict({key: value})
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ConfigError(
            f'{said} does not fit {cfg.filename}, which has '
            f'{cfg.get(key.split(".")[0])!r:.80} there'
        ) from error


def _replace_soup(cfg: Config, file: Path) -> None:
    base = Config.fromfile(file)
    if 'runner_type' not in base:
        raise ConfigError(f"{file}: expected runner_type, such as 'GoGSoupRunner'")
    cfg.runner_type = base.runner_type
    cfg.soup = base.get('soup', {})


def _work_dir(said: str | None, stem: str, soup: Path | None) -> str:
    """``'gog_x'`` with the soup ``'best'`` -> ``'work_dirs/best_x'``."""
    if soup is None:
        return said or f'work_dirs/{stem}'
    if said:
        return f'{said}/{soup.stem}'
    return f'work_dirs/{soup.stem}_{split_name(stem, soup_names(soup.parent))[1]}'


def _read_file(path: str | Path) -> Config:
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:
        if Path(error.filename or '').suffix != '.py':
            raise
        base = Path(os.path.normpath(error.filename))
        raise ConfigError(f'{path} inherits {base}: {where_now(base)}') from None


def _check_option(key: str, cfg: Config) -> None:
    """Refuses an option that would be merged and then silently ignored."""
    name = key.split('.')[0]
    runner_keys = set(inspect.signature(Runner.__init__).parameters)
    known = runner_keys | _TOOL_KEYS | set(cfg.keys())
    if name in known:
        return
    hint = likely(key, cfg.to_dict(), known) or 'see the config for its keys'
    raise ConfigError(
        f'--cfg-options {key}: {cfg.filename} has no {name!r}, nothing would read it; '
        f'{hint}'
    )


def resolve(cfg: Config) -> Config:
    """Returns a copy of the config in which every reference is replaced.

    An ``init_cfg`` of type Pretrained whose checkpoint is None is left out, so that the
    model's own random initialisation holds.

    Args:
        cfg: A config as read. It is not changed.

    Returns:
        A config that stock MMEngine and MMPretrain understand.

    Raises:
        ConfigError: A reference that points to nothing, or in a circle.
    """
    tree = cfg.to_dict()
    return Config(_without_unset(_replace(tree, tree, 0)), filename=cfg.filename)


def _replace(value: Any, tree: dict, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ConfigError(f'the reference {value!r} points to itself')
    if isinstance(value, dict):
        return {key: _replace(item, tree, depth) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replace_items(value, tree, depth))
    if isinstance(value, str) and is_reference(value):
        return _replace(look_up(value, tree), tree, depth + 1)
    return value


def _replace_items(items: list | tuple, tree: dict, depth: int) -> list:
    replaced: list[Any] = []
    for item in items:
        new = _replace(item, tree, depth)
        spliced = isinstance(item, str) and isinstance(new, list)
        replaced.extend(new if spliced else [new])
    return replaced


def _without_unset(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_unset(item)
            for key, item in value.items()
            if not (key == 'init_cfg' and _is_unset(item))
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_without_unset(item) for item in value)
    return value


def _is_unset(init_cfg: Any) -> bool:
    return (
        isinstance(init_cfg, dict)
        and init_cfg.get('type') == 'Pretrained'
        and init_cfg.get('checkpoint') is None
    )


def is_reference(text: str) -> bool:
    """Says whether a value stands for another one."""
    return text.startswith('${') and text.endswith('}')


def look_up(reference: str, tree: dict) -> Any:
    """Looks up one reference, innermost part first; gives a value or a reference."""
    inner = _INNERMOST.search(reference)
    if inner is None:
        raise ConfigError(f'{reference!r} is not a reference such as "${{image_size}}"')
    value = tree
    for name in inner.group(1).split('.'):
        if not isinstance(value, Mapping) or name not in value:
            inside = isinstance(value, Mapping) and value is not tree
            hint = f'; there are {", ".join(value)}' if inside else ''
            raise ConfigError(
                f'the reference {inner.group(0)} points to nothing: no {name!r}{hint}'
            )
        value = value[name]
    whole = inner.group(0) == reference
    return value if whole else reference.replace(inner.group(0), str(value), 1)


def without_pretrained(model: Any) -> Any:
    """Returns a model's config that reads and fetches no weights when it is built.

    Args:
        model: The config of a model, or any part of it. It is not changed.

    Returns:
        The same without ``init_cfg`` of type Pretrained, ``pretrained`` and
        ``checkpoint_path``, at any depth.
    """
    if isinstance(model, dict):
        return {key: _unfilled(key, value) for key, value in model.items()}
    if isinstance(model, (list, tuple)):
        return type(model)(without_pretrained(item) for item in model)
    return model


def _unfilled(key: str, value: Any) -> Any:
    if key == 'init_cfg' and isinstance(value, dict):
        return None if value.get('type') == 'Pretrained' else value
    if key == 'init_cfg' and isinstance(value, (list, tuple)):
        return [item for item in value if item.get('type') != 'Pretrained']
    if key == 'pretrained':  # a path in MMPretrain, a switch in TIMMBackbone
        return False if isinstance(value, bool) else None
    if key == 'checkpoint_path':  # TIMMBackbone's
        return ''
    return without_pretrained(value)


def read_options(kind: type[T], values: Any, key: str) -> T:
    """Makes a dataclass of a part of a config.

    Args:
        kind: The dataclass; what the config does not say has its default.
        values: A mapping; None: the config says nothing.
        key: Where they stand in the config.

    Raises:
        ConfigError: No mapping, or a key that the dataclass does not have; what it
            says of the values itself.
    """
    values = {} if values is None else values
    known = [field.name for field in fields(kind)]
    if not isinstance(values, Mapping):
        raise ConfigError(f'{key}={values!r}: expected a dict with some of {known}')
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f'{key}: unknown key {unknown[0]!r}, there are {known}')
    return kind(**values)


def check_names(key: str, names: Any) -> None:
    """Checks that an option is None or a list of names.

    Args:
        key: Where it stands in the config.
        names: The option.

    Raises:
        ConfigError: It is something else, such as a name by itself.
    """
    fits = isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)
    if names is not None and not (fits and names):
        raise ConfigError(f'{key}={names!r}: expected a list of names, or None')


def check_selection(cfg: Config) -> None:
    """Checks the form of a config's ``selection``.

    Raises:
        ConfigError: It is not ``dict(metric=..., rule=...)``.
    """
    if not isinstance(cfg.selection, Mapping) or set(cfg.selection) != {
        'metric',
        'rule',
    }:
        raise ConfigError(
            "selection: expected dict(metric='macro_recall', rule='greater'), got "
            f'{cfg.selection!r}'
        )
