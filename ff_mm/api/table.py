"""A DataFrame as the data of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.files import PathLike, atomic_write

_CASES = 'cases.csv'
# With one of these the classes are not simply those of the column.
_OTHER_CLASSES = ('labels', 'label_map', 'label_separator')


def table_options(
    frame: Any,
    table: Mapping[str, Any] | None,
    root: PathLike,
    work_dir: PathLike | None,
) -> dict[str, Any]:
    """Writes a DataFrame to the work directory, and says so to a config.

    Args:
        frame: With a row an image; pandas', or what has ``to_csv``.
        table: What its columns mean.
        root: The folder that its images are in.
        work_dir: Where ``cases.csv`` goes.

    Returns:
        Values of a config that inherits ``_base_/datasets/table.py``.

    Raises:
        ConfigError: It is no DataFrame, something is missing, or the folder has models
            that were trained on other cases.
    """
    if not hasattr(frame, 'to_csv'):
        raise ConfigError(
            f'expected a config or a DataFrame, got {type(frame).__name__}'
        )
    if work_dir is None:
        raise ConfigError('work_dir: say where to write, as a DataFrame has no name')
    if table is None or not table.get('image'):
        raise ConfigError(
            "table: say what the columns mean, such as dict(image='file', label='dx', "
            f"group='patient'); there are {', '.join(map(str, frame.columns))}"
        )
    folder = Path(work_dir)
    file, text = folder / _CASES, frame.to_csv(index=False)
    if file.exists() and file.read_text(encoding='utf-8') != text:
        if (folder / 'ledger.json').exists():
            raise ConfigError(
                f'{file}: models were trained here on other cases than those of the '
                'DataFrame; give another work_dir'
            )
        file.unlink()
    if not file.exists():
        with atomic_write(file, 'w') as out:
            out.write(text)
    options: dict[str, Any] = {
        'data_root': str(root),
        'table': dict(table, file=str(file.resolve())),
    }
    label = table.get('label')
    if label in frame.columns and not any(table.get(key) for key in _OTHER_CLASSES):
        options['data_preprocessor.num_classes'] = int(frame[label].nunique())
    return options
