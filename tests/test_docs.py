"""Links within the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('configs/**/*.md')]
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
