"""The order of the rooms of ff_mm: none imports from one above it, nor in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Below all rooms, and then the rooms: each may import from those before it.
FILES = ['one_line', 'errors', 'files', 'plain', 'environment', 'version']
FILES += ['cores', 'memory']
ROOMS = [
    'records',
    'option_values',
    'config_files',
    'config',
    'config_loaders',
    'display',
    'parallel',
    'merging',
    'weight_space',
]
ROOMS += [
    'datasets',
    'models',
    'engine',
    'tracking',
    'tasks',
    'evaluation',
    'fission',
    'fusion',
]
ROOMS += ['comparison', 'analysis', 'inference', 'exporting']
ROOMS += ['cli', 'commands', 'api']
RANKS = dict.fromkeys(FILES, 0) | {name: i for i, name in enumerate(ROOMS, 1)}


def modules():
    """Name -> syntax tree of all modules."""
    found = {}
    for path in (ROOT / 'ff_mm').rglob('*.py'):
        parts = path.relative_to(ROOT).with_suffix('').parts
        name = '.'.join(part for part in parts if part != '__init__')
        found[name] = ast.parse(path.read_text(encoding='utf-8'))
    return found


def imported(tree):
    """Names of all that may be modules, wherever in the file they are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'line {node.lineno}: a relative import'
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def arrows():
    """Module -> modules that it imports."""
    trees = modules()
    return {
        name: {other for other in imported(tree) if other in trees} - {name, 'ff_mm'}
        for name, tree in trees.items()
    }


def room(module):
    return module.split('.')[1]


def test_every_room_has_its_place():
    found = {room(module) for module in modules() if module != 'ff_mm'}
    assert found == set(RANKS)


def test_no_room_imports_from_one_above_it():
    up = [
        f'{module} imports {other}'
        for module, others in arrows().items()
        for other in others
        if module != 'ff_mm'
        and room(module) != room(other)
        and RANKS[room(module)] <= RANKS[room(other)]
        and room(other) in ROOMS
    ]
    assert not up


def test_no_two_files_import_each_other_in_a_circle():
    packages = {
        '.'.join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / 'ff_mm').rglob('__init__.py')
    }
    files = {
        module: others - packages
        for module, others in arrows().items()
        if module not in packages
    }
    TopologicalSorter(files).prepare()  # raises CycleError, which names the circle


def test_no_room_but_tasks_knows_which_tasks_there_are():
    named = {'ff_mm.tasks.Classification', 'ff_mm.tasks.Segmentation'}
    named |= {'ff_mm.tasks.classification.Classification'}
    named |= {'ff_mm.tasks.segmentation', 'ff_mm.tasks.segmentation.Segmentation'}
    for module, tree in modules().items():
        if not module.startswith('ff_mm.tasks'):
            assert not named & set(imported(tree)), module
