"""What docs/own_data.md shows: its configs work, its messages are the real ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ham_files import read_table, write_image, write_table
from mmengine.config import Config
from own_files import COLUMNS, clinic_rows, write_clinic

from ff_mm.config import load_config, resolve
from ff_mm.config_loaders import ood_dataloaders
from ff_mm.datasets.checks.check import check_datasets
from ff_mm.datasets.checks.head_check import check_head
from ff_mm.datasets.folders import FolderDataset
from ff_mm.datasets.table import TableDataset
from ff_mm.datasets.tables.table_description import TableDescription
from ff_mm.errors import FFMMError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'own_data.md').read_text(encoding='utf-8')
SNIPPETS = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
CONFIGS = {s.split()[1]: s for s in SNIPPETS if s.startswith('# configs/')}
TABLE = dict(file='cases.csv', image='file', label='diagnosis', group='patient')
CLASSES = ['keratosis', 'melanoma', 'nevus']


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data and the configs of the page, which is the current one."""
    write_clinic(tmp_path / 'data' / 'clinic')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_thorax(root: Path) -> None:
    rows = [['file', 'patient', 'effusion', 'edema', 'fracture']]
    rows += [[f'{i}.png', str(i), str(i % 2), '-1', ''] for i in range(30)]
    for row in rows[1:]:
        write_image(root / row[0])
    write_table(root / 'findings.csv', rows)


def write_moles(root: Path) -> None:
    for i in range(40):
        name = f'p{i:02d}_a.jpg'
        write_image(root / ('benign', 'malignant')[i % 2] / name, value=i)


def read_config(name: str, text: str | None = None) -> Config:
    """Reads a config of the page, or another one beside them."""
    shutil.copytree(ROOT / 'configs' / '_base_', 'configs/_base_')
    for path, written in {**CONFIGS, name: text or CONFIGS[name]}.items():
        Path(path).write_text(written)
    cfg = load_config(name)
    # Comes with the model, where there is one.
    cfg.setdefault('normalization', dict(mean=[0] * 3, std=[1] * 3))
    return resolve(cfg)


def build(cfg: Config) -> dict[str, Any]:
    names = ('train', 'val', 'test')
    return check_datasets({n: cfg[f'{n}_dataloader'].dataset for n in names})


class TestConfigs:
    @pytest.mark.parametrize('name', ['fgg_clinic', 'gog_clinic', 'fgg_thorax'])
    def test_whole_configs(self, here, name):
        write_thorax(here / 'data' / 'thorax')
        cfg = read_config(f'configs/{name}.py')
        datasets = build(cfg)
        check_head(cfg.model.head, datasets['val'])
        assert all(len(dataset) for dataset in datasets.values())

    def test_folders(self, here):
        write_moles(here / 'data' / 'moles')
        datasets = build(read_config('configs/_base_/datasets/moles.py'))
        assert [len(dataset) for dataset in datasets.values()] == [32, 4, 4]
        assert datasets['train'].get_data_info(0)['group'].startswith('p')

    def test_other_pieces(self):
        pieces = [s for s in SNIPPETS if not s.startswith('# configs/')]
        assert len(pieces) >= 10
        for piece in pieces:
            values: dict[str, Any] = {}
            exec(piece, values)
            TableDescription.from_config({**TABLE, **values.get('table', {})})
            for loader in values.get('ood_dataloaders', {}).values():
                TableDescription.from_config(loader['dataset']['table'])

    def test_another_hospital(self, here):
        north = here / 'data' / 'north'
        write_clinic(north)
        rows = read_table(north / 'cases.csv')
        rows[0][:3] = ['image', 'dx', 'patient']
        write_table(north / 'north.csv', [r for r in rows if r[1] != 'nevus'])
        piece = next(s for s in SNIPPETS if 'north.csv' in s)
        text = f"_base_ = './gog_clinic.py'\n{piece}"
        cfg = read_config('configs/gog_north.py', text)
        datasets = check_datasets({'north': ood_dataloaders(cfg)['north']['dataset']})
        assert len(datasets['north']) == 40
        assert list(datasets['north'].CLASSES) == CLASSES

    def test_all_keys_are_listed(self):
        listed = PAGE.split('All keys of `table`:')[1].split('\n## ')[0]
        for name in TableDescription.__init__.__annotations__:
            assert name == 'return' or f'`{name}`' in listed


def change(column: str, new: dict[int, str], table: str = 'clinic/cases.csv') -> None:
    rows = read_table(Path('data', table))
    for number, cell in new.items():
        rows[number - 1][rows[0].index(column)] = cell
    write_table(Path('data', table), rows)


def clinic(classes: list | None = CLASSES, root: str = 'clinic', **table: Any) -> None:
    TableDataset(f'data/{root}', {**TABLE, **table}, split='all', classes=classes)


def moles(root: str = 'data/moles', **options: Any) -> None:
    FolderDataset(root, **options)


def table_elsewhere() -> None:
    clinic(file='case.csv')


def workbook() -> None:
    Path('data/clinic/cases.xlsx').write_bytes(b'PK\x03\x04')
    clinic(file='cases.xlsx')


def encoded() -> None:
    Path('data/clinic/cases.csv').write_bytes(
        'file,diagnosis,patient\na.jpg,nevus,1\nb.jpg,n\xe4vus,2\n'.encode('cp1252')
    )
    clinic()


def image_missing() -> None:
    Path('data/clinic/images/p07_a.jpg').unlink()
    clinic()


def image_twice() -> None:
    write_image(Path('data/clinic/small/p07_a.jpg'), value=200)
    change('file', {16: 'p07_a'})
    clinic()


def rows_twice() -> None:
    change('file', {5: 'images/p00_a.jpg'})
    clinic()


def unlabelled() -> None:
    change('diagnosis', {4: '', 9: 'NA'})
    clinic()


def unknown_class() -> None:
    change('diagnosis', {4: 'melanom'})
    clinic()


def two_spellings() -> None:
    change('diagnosis', {4: 'Melanoma'})
    clinic(classes=None)


def label_cell() -> None:
    write_thorax(Path('data/thorax'))
    change('edema', {3: 'yes'}, 'thorax/findings.csv')
    labels = dict(label=None, labels=['effusion', 'edema', 'fracture'])
    clinic(None, 'thorax', file='findings.csv', **labels)


def outputs() -> None:
    table = dict(data_root='data/clinic', table=TABLE)
    check_head(dict(num_classes=2), TableDataset(**table, split='all'))


def no_patient() -> None:
    change('patient', {7: ''})
    clinic()


def leak() -> None:
    folds = {n: 'train' for n in range(2, 62)} | {2: 'val'}
    change('fold', folds)
    config = dict(type='TableDataset', data_root='data/clinic')
    config['table'] = dict(TABLE, split='fold')
    check_datasets({name: dict(config, split=name) for name in ('train', 'val')})


def unknown_fold() -> None:
    clinic(split='fold', split_map={n: 'train' for n in (2, 3, 4)})


def unknown_value() -> None:
    clinic(filter=dict(device='New'))


def too_few() -> None:
    write_table(Path('data/clinic/cases.csv'), [COLUMNS, *clinic_rows()[:12]])
    TableDataset('data/clinic', TABLE)


def other_classes() -> None:
    config = dict(type='TableDataset', data_root='data/clinic', split='all')
    train = dict(TABLE, filter=dict(device='new'))
    north = dict(TABLE, filter=dict(device='old'), label_map=dict(keratosis=None))
    check_datasets(
        dict(train=dict(config, table=train), north=dict(config, table=north))
    )


def beside_the_folders() -> None:
    write_moles(Path('data/moles'))
    write_image(Path('data/moles/p01_a.jpg'))
    moles()


def no_group_in_the_name() -> None:
    write_moles(Path('data/moles'))
    write_image(Path('data/moles/benign/scan.jpg'))
    moles(group_pattern=r'^(p\d+)_')


MISTAKES: list[Callable[[], None]] = [
    lambda: clinic(root='clinc'),
    lambda: clinic(lable='diagnosis'),
    lambda: clinic(label='Diagnose'),
    table_elsewhere,
    workbook,
    encoded,
    image_missing,
    image_twice,
    rows_twice,
    unlabelled,
    unknown_class,
    two_spellings,
    label_cell,
    outputs,
    no_patient,
    leak,
    unknown_fold,
    unknown_value,
    too_few,
    other_classes,
    beside_the_folders,
    no_group_in_the_name,
]


@pytest.mark.parametrize('mistake', MISTAKES)
def test_messages_are_the_real_ones(here, mistake):
    with pytest.raises(FFMMError) as caught:
        mistake()
    shown = ' '.join(PAGE.split('## If something is wrong')[1].split())
    problems = getattr(caught.value, 'problems', ()) or (str(caught.value),)
    # Where several data sets were built, each problem says of which.
    messages = [re.sub(r"^(\w+, )+\w+ in '.*?': ", '', problem) for problem in problems]
    messages = [message.replace(str(here), '/home/me') for message in messages]
    assert all(' '.join(message.split()) in shown for message in messages), messages


def test_no_message_is_left_untried():
    section = PAGE.split('## If something is wrong')[1]
    blocks = re.findall(r'(?:^    .+\n)+', section, re.MULTILINE)
    assert len(blocks) == len(MISTAKES)
