"""Values of the command line: what the text after ``key=`` stands for.

MMEngine's ``DictAction`` takes all spaces out, makes lists of all commas, and knows no
maps. Its notation is read as before (numbers, ``None``, ``true``, ``1,2``, ``[a,b]``,
``[(1,2),3]``); everything else is taken as given.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError

_CLOSING = {'(': ')', '[': ']', '{': '}'}
# Of these a list, or a number, is never meant.
_TEXT = re.compile(r'(^|[._])(root|dir)$|^table\.image$')
_COLUMN = re.compile(r'^table\.(image|label|group|split)$')
# A regular expression has brackets and commas of its own.
_PATTERN = re.compile(r'(^|[._])pattern$')


class OptionText(str):
    """The text of an option, which is read once the config is there."""


def option_texts(options: Mapping[str, str] | None) -> dict[str, OptionText]:
    """Marks the values of a command line as texts that are still to be read.

    Args:
        options: What :class:`ff_mm_commands.options.ReadOptions` has collected.
    """
    return {key: OptionText(text) for key, text in (options or {}).items()}


def read_value(key: str, text: str, current: Any = None) -> Any:
    """Reads the text of an option.

    Args:
        key: The option.
        text: What was given for it.
        current: What the config has there: where it has a text, a number is one, too,
            but for 'auto', which stands in the place of a number; where it has a list,
            so are words with commas and spaces between them.

    Returns:
        A list or tuple for what is in brackets, or has commas between words; a dict for
        ``{...}`` and ``dict(...)``; what is within quotes as it is; a number, True,
        False or None; or the text. What is in quotes or brackets as a whole is never
        taken apart otherwise.

    Raises:
        ConfigError: A map that cannot be read.
    """
    stripped = text.strip()
    if _is_map(stripped):
        return _read_map(key, stripped)
    if _is_quoted(stripped):
        return stripped[1:-1]
    if _PATTERN.search(key):
        return None if stripped == 'None' else text
    if _enclosed(stripped) in ('(', '['):
        items = [_read_item(key, part) for part in _parts(stripped[1:-1])]
        return tuple(items) if stripped[0] == '(' else items
    if _is_list(key, text, current):
        return [_read_item(key, part) for part in _parts(text)]
    named = isinstance(current, str) and current != 'auto' and current[:2] != '${'
    value = _read_word(text)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return text if is_number and (named or _COLUMN.match(key)) else value


def _is_list(key: str, text: str, current: Any) -> bool:
    """Whether commas in a text without brackets come between the items of a list."""
    if ',' not in text or _TEXT.search(key) or Path(text).exists():
        return False
    parts = _parts(text)
    if isinstance(current, (list, tuple)):
        return True
    numbers = all(not isinstance(_read_word(part), str) for part in parts)
    # "Pneumonia, viral" is one name.
    return numbers or not any(part != part.strip() for part in parts)


def _read_item(key: str, text: str) -> Any:
    """Reads an item of a list, in which commas have been seen to."""
    text = text.strip()
    if _is_map(text) or _is_quoted(text) or _enclosed(text):
        return read_value(key, text)
    return _read_word(text)


def _read_word(text: str) -> Any:
    for read in _NUMBERS:
        try:
            return read(text)
        except ValueError:
            continue
    if text.strip().lower() in ('true', 'false'):
        return text.strip().lower() == 'true'
    return None if text.strip() == 'None' else text


_NUMBERS: tuple[Callable[[str], Any], ...] = (int, float)


def _is_quoted(text: str) -> bool:
    return (
        len(text) > 1
        and text[0] == text[-1]
        and text[0] in '\'"'
        and text[0] not in text[1:-1]
    )


def _enclosed(text: str) -> str | None:
    """The bracket in which all of a text is, if it is."""
    if not text or text[0] not in _CLOSING:
        return None
    ends = [end for end, depth in _depths(text) if depth == 0]
    return text[0] if ends and ends[0] == len(text) - 1 else None


def _parts(text: str) -> list[str]:
    """What is between the commas that are in no brackets and no quotes."""
    cuts = [-1, *(i for i, d in _depths(text) if d == 0 and text[i] == ','), len(text)]
    parts = [text[a + 1 : b] for a, b in pairwise(cuts)]
    return parts if parts[-1].strip() else parts[:-1]


def _depths(text: str) -> list[tuple[int, int]]:
    """Each character outside quotes, and in how many brackets the text then is."""
    found, depth, quote = [], 0, ''
    for i, character in enumerate(text):
        opens = not text[:i].strip() or text[:i].rstrip()[-1] in '[({,:='
        if quote:
            quote = '' if character == quote else quote
        elif character in '\'"' and opens:  # else an apostrophe
            quote = character
        else:
            depth += (character in '([{') - (character in ')]}')
            found.append((i, depth))
    return found


def _is_map(text: str) -> bool:
    return _enclosed(text) == '{' or (
        text.startswith('dict(') and _enclosed(text[len('dict') :]) == '('
    )


def _read_map(key: str, text: str) -> dict[str, Any]:
    try:
        value = _evaluate(ast.parse(text, mode='eval').body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        value = None
    if not isinstance(value, dict):
        raise ConfigError(
            f'--cfg-options {key}={text[:80]}: cannot be read as a map; expected '
            f"{key}=\"{{'name': 'value'}}\", {key}.name=value for each name, or a map "
            'in a config file'
        )
    return value


def _evaluate(node: ast.expr) -> Any:
    """The value of a literal, of ``dict(a=1)``, or of a bare word, which is a text."""
    if isinstance(node, ast.Name):
        return _read_word(node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_evaluate(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError('** stands for no value')
        keys = [_evaluate(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_evaluate, node.values), strict=True))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
        and not node.args
        and all(keyword.arg for keyword in node.keywords)
    ):
        return {str(k.arg): _evaluate(k.value) for k in node.keywords}
    return ast.literal_eval(node)


def at(tree: Any, key: str) -> Any:
    """What a config has under a dotted key; None: nothing."""
    for name in key.split('.'):
        if isinstance(tree, Mapping):
            tree = tree.get(name)
        elif isinstance(tree, list) and name.isdigit() and int(name) < len(tree):
            tree = tree[int(name)]
        else:
            return None
    return tree


def likely(key: str, tree: Mapping[str, Any], known: Collection[str]) -> str:
    """Asks whether another key was meant than one that a config does not have.

    Args:
        key: That one, with dots or without.
        tree: The config. Of its keys those are meant that end so, but for those that
            refer to another.
        known: Names that may stand first, for one that is misspelled.
    """
    found = [
        path
        for path, value in _leaves(tree)
        if path.endswith(f'.{key}') and '${' not in str(value)
    ]
    found = sorted(found, key=lambda path: path.count('.'))[:3]
    found = found or get_close_matches(key.split('.')[0], known, n=1)
    return f'did you mean {" or ".join(map(repr, found))}?' if found else ''


def _leaves(tree: Mapping[str, Any], above: str = '') -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        yield f'{above}{name}', value
        if isinstance(value, Mapping):
            yield from _leaves(value, f'{above}{name}.')
