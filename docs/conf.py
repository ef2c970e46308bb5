"""The documentation site: `make docs` builds it, with Sphinx and MyST.

The pages are the Markdown files that are read on the code host, too. So what only the
site needs is added here: which pages belong below which, and where files outside of
this folder are.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from docutils.nodes import SkipNode, math_block
from docutils.utils.math import latex2mathml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from ff_mm.version import __version__  # noqa: E402

project = 'ff_mm'
author = 'the authors of ff_mm'
copyright = f'{author}, Apache-2.0'
release = version = __version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
    'sphinx_design',
]
source_suffix = {'.md': 'myst-nb', '.ipynb': 'myst-nb'}
root_doc = 'index'
exclude_patterns = ['_build', '**.ipynb_checkpoints']
# Most code blocks are commands and tables of a terminal; others name their language.
highlight_language = 'text'

myst_enable_extensions = ['colon_fence', 'deflist']
myst_heading_anchors = 4

# Notebooks are executed whenever the site is built, and an error in one ends it.
nb_execution_mode = 'force'
nb_execution_raise_on_error = True
# However slow the machine is.
nb_execution_timeout = -1
nb_merge_streams = True

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'groupwise'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = 'furo'
html_title = f'ff_mm {release}'
html_static_path = ['_static']
html_css_files = ['site.css']
html_favicon = '_static/favicon.svg'
html_show_sourcelink = False
# Formulas as browsers know them; MathJax would be fetched from elsewhere.
html_math_renderer = 'mathml'

# Files outside of this folder that are pages of the site, and which. What these pages
# say on the code host, where they are, gives way to them.
_PAGES = {
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'README.md': 'index.md',
}
_OF_OUTSIDE = {'contributing': 'CONTRIBUTING.md', 'changelog': 'CHANGELOG.md'}
_LINK = re.compile(r'(?<=\]\()(?!\w+:|#)([^)#\s]+)')


def _for_the_site(app: Any, name: str, source: list[str]) -> None:
    """Turns a page as it is on the code host into one of the site."""
    if name.startswith('notebooks/'):
        return
    page, text = HERE / f'{name}.md', source[0]
    come_from = page
    if name in _OF_OUTSIDE:
        come_from = ROOT / _OF_OUTSIDE[name]
        app.env.note_dependency(str(come_from), docname=name)
        text = come_from.read_text(encoding='utf-8')

    def link(found: re.Match[str]) -> str:
        target = (come_from.parent / found[1]).resolve()
        if target.parent == ROOT and target.name in _PAGES:
            target = HERE / _PAGES[target.name]
        return os.path.relpath(target, page.parent)

    source[0] = _LINK.sub(link, text) + _below(name)


def _below(name: str) -> str:
    """What lies below a page in the navigation: the experiments, and their tables."""
    folder = (HERE / name).parent
    if not name.endswith('/README'):
        return ''
    if folder.parts[-1] == 'experiments':
        pages = 'experiments/*/README'
    elif folder.parts[-2] == 'experiments' and len([*folder.glob('*.md')]) > 1:
        pages = name.replace('README', '*')
    else:
        return ''
    return f'\n\n```{{toctree}}\n:hidden:\n:glob:\n\n/{pages}\n```\n'


def _returns_no_type(*found: Any) -> None:
    """Has "Returns:" begin with what is returned: its type is that of the signature.

    Else napoleon takes all before a colon as the type.
    """
    lines = found[-1]
    for above, line in enumerate(lines[1:]):
        if lines[above].strip() in ('Returns:', 'Yields:'):
            lines[above + 1] = re.sub(
                r'\S', lambda first: f': {first[0]}', line, count=1
            )


def _formula(writer: Any, node: Any) -> NoReturn:
    block = isinstance(node, math_block)
    writer.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    raise SkipNode


def setup(app: Any) -> None:
    """What Sphinx calls first."""
    app.add_html_math_renderer('mathml', (_formula, None), (_formula, None))
    # Before napoleon, which has the usual priority, 500.
    app.connect('autodoc-process-docstring', _returns_no_type, priority=400)
    app.connect('source-read', _for_the_site)
