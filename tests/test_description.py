"""What a package index shows of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_it_has_no_picture_and_no_link_that_leads_nowhere():
    text = subprocess.run(
        [sys.executable, 'setup.py', '--quiet', '--long-description'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert '![' in readme and '<img' in readme  # the test could have told
    assert '![' not in text and '<img' not in text
    links = re.findall(r'\]\(([^)]+)\)', text)
    assert links and all(link.startswith('https://') for link in links)
    # All else stands: the words of links, and the commands.
    assert 'What helps has it all.' in text
    assert 'make quickstart' in text and '## Citation' in text
