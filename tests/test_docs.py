"""Links within the documentation lead somewhere."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(ROOT.glob('docs/**/*.ipynb'))
PAGES = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('configs/**/*.md')]
_ROLE = re.compile(r':\w+:`~?(?:[^<`]+<)?(ff_mm(?:\.\w+)+)>?`')
_LINK = re.compile(r'\]\(([^)\s]+)\)|src="([^"]+)"')


def anchors(page):
    """The anchors of headings as GitHub makes them."""
    found = set()
    for line in page.read_text(encoding='utf-8').splitlines():
        if line.startswith('#'):
            words = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', line.lstrip('#').strip())
            found.add(re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-'))
    return found


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    wrong = []
    for link in (a or b for a, b in _LINK.findall(page.read_text(encoding='utf-8'))):
        if re.match(r'\w+:', link):  # elsewhere
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        there = target.exists()
        if there and anchor and target.suffix == '.md':
            there = anchor in anchors(target)
        if not there:
            wrong.append(link)
    assert not wrong


def referred_to():
    """Every name of ff_mm that a docstring refers to, and in which file."""
    for path in sorted((ROOT / 'ff_mm').rglob('*.py')):
        text = re.sub(r'\s*\n\s*', '', path.read_text(encoding='utf-8'))
        for name in _ROLE.findall(text):
            yield name, path.relative_to(ROOT)


def stands_for_something(name):
    """Whether it is a module, or something in one."""
    words = name.split('.')
    for end in range(len(words), 0, -1):
        try:
            found = importlib.import_module('.'.join(words[:end]))
        except ModuleNotFoundError:
            continue
        for word in words[end:]:
            fields = getattr(found, '__dataclass_fields__', {})
            if not hasattr(found, word) and word not in fields:
                return False
            found = getattr(found, word, None)
        return True
    return False


def test_docstrings_refer_to_what_there_is():
    wrong = [
        f'{path}: {name}'
        for name, path in referred_to()
        if not stands_for_something(name)
    ]
    assert not wrong


@pytest.mark.parametrize('file', NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_is_kept_as_it_was_executed(file):
    text = file.read_text(encoding='utf-8')
    cells = [c for c in json.loads(text)['cells'] if c['cell_type'] == 'code']
    numbers = [cell['execution_count'] for cell in cells]
    assert numbers == list(range(1, len(cells) + 1))  # all of it, from top to bottom
    assert not [o for c in cells for o in c['outputs'] if o['output_type'] == 'error']
    assert len(text) < 200_000
