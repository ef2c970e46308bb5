"""What a config says of a table: where it is, and what its columns mean."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ff_mm.datasets.errors import as_names
from ff_mm.datasets.splits.splitting import SPLITS
from ff_mm.datasets.tables.row_filter import Condition, read_filter
from ff_mm.datasets.tables.several_rows import WAYS
from ff_mm.datasets.tables.table_file import plain, with_nearest
from ff_mm.datasets.tables.table_join import Join, read_joins
from ff_mm.datasets.tables.uncertain_labels import check_policy
from ff_mm.errors import ConfigError

_SCORES = ('1', '0', '-1')


@dataclass
class TableDescription:
    r"""The ``table`` of a config: the file, and what its columns mean.

    ``file``, ``image``, and one of ``label``, ``labels`` and ``mask`` are needed. A
    ``table`` is a dict in the config; :meth:`from_config` reads it.

    Attributes:
        file: The table, relative to ``data_root`` or absolute. Or a dict from
            ``'train'``, ``'val'`` and ``'test'`` to a table each, which are then the
            split.
        image: Column that names the image: a path below ``data_prefix``, absolute, or
            only the end of one (``ISIC_0000001`` of ``part_2/ISIC_0000001.jpg``).
            Windows' backslashes will do. Where it is a folder, the row holds for all
            images in it.
        image_missing: What rows are whose image has no file: an ``'error'``, or
            ``'leave_out'``.
        label: Column with the class of an image, a name or a number.
        labels: Columns of which each is a label of its own, for images with several
            labels: 1, 0, -1 (uncertain) or empty (missing).
        mask: Column with the path of the mask of an image, of data sets with masks; or
            a dict from each class but the first to such a column.
        one_hot: Whether ``labels`` are classes of which each row has exactly one: 1 in
            one column, 0 in all others.
        label_separator: What stands between several labels in the one column ``label``,
            such as ``'|'``. Those that a cell does not name are 0.
        label_map: What stands in a label column -> what it means. With ``label`` a
            class, so that classes are renamed and put together, or None: the row is
            left out (with ``label_separator`` the word is). With ``labels`` 1, 0, -1,
            or None for missing. ``''`` is the empty cell, ``'*'`` everything else that
            is not empty. What is not named keeps its meaning.
        several_rows: How rows of one image are put together: ``'any'`` (a label is 1
            if a row says so; of ``label``, and with ``one_hot``, the last class in
            order), ``'all'`` (if all say so; the first class) or ``'majority'``. Else
            they are an error.
        rater: With ``several_rows``: column with who says so. All rows of one are then
            one voice.
        uncertain: With ``labels``: what -1 becomes, ``'ignore'`` (missing), ``'zeros'``
            or ``'ones'``; or label -> one of these.
        group: Column with what a split must not cut apart: patient, lesion. Several
            columns name it together.
        group_missing: What rows without a group are: an ``'error'``, or ``'alone'``:
            each belongs to no other.
        split: Column with train, val (valid, validation, dev) or test.
        split_map: Other words in it -> ``'train'``, ``'val'`` or ``'test'``, or None:
            the row is left out. ``'*'`` is every other word.
        path_pattern: A regular expression with names, such as
            ``r'(?P<patient>patient\d+)/.*_(?P<label>positive|negative)'``. What it
            finds in the path of an image is then a column of that name.
        join: Another table with columns that this one does not have, or a list of
            these: ``dict(file='metadata.csv', on='image')``. ``on`` is the column, or
            columns, by which rows belong together; or a dict from those of this table
            to those of the other.
        filter: Column -> what a row must have there to be taken: a value, a list of
            values, or ``dict(min=..., max=..., exclude=[...])``.
        header: The names of the columns, where the table has no row of them.
        encoding: Of a table that is text.
    """

    file: str | Mapping[str, str] = ''
    image: str = ''
    image_missing: str = 'error'
    label: str = ''
    labels: Sequence[str] = ()
    mask: str | Mapping[str, str] = ''
    one_hot: bool = False
    label_separator: str = ''
    label_map: Mapping[str, str | None] = field(default_factory=dict)
    several_rows: str = ''
    rater: str = ''
    uncertain: str | Mapping[str, Any] = 'ignore'
    group: Sequence[str] = ()
    group_missing: str = 'error'
    split: str = ''
    split_map: Mapping[str, str | None] = field(default_factory=dict)
    path_pattern: str = ''
    join: Mapping[str, Any] | Sequence[Mapping[str, Any]] = ()
    filter: Mapping[str, Any] = field(default_factory=dict)
    header: Sequence[str] = ()
    encoding: str = 'utf-8'

    #: ``uncertain`` as label -> score, ``filter`` as column -> condition, ``join`` and
    #: ``path_pattern`` as they are used.
    uncertain_scores: dict[str, float] = field(init=False)
    conditions: dict[str, Condition] = field(init=False)
    joins: list[Join] = field(init=False)
    pattern: re.Pattern[str] | None = field(init=False)

    @classmethod
    def from_config(cls, table: Mapping[str, Any]) -> TableDescription:
        """Reads what a config says; None is as if a key were not there.

        Raises:
            ConfigError: A key that does not exist, one that is missing, or a value
                that cannot be meant so.
        """
        known = [f.name for f in fields(cls) if f.init]
        unknown = [with_nearest(key, known) for key in table if key not in known]
        if unknown:
            raise ConfigError(
                f'table has no {", ".join(unknown)}; its keys are {", ".join(known)}'
            )
        return cls(**{key: v for key, v in table.items() if v is not None})

    def __post_init__(self) -> None:
        self.labels, self.group = as_names(self.labels), as_names(self.group)
        self.header = [str(name).strip() for name in as_names(self.header)]
        self.joins = read_joins(self.join)
        self.pattern = _read_pattern(self.path_pattern)
        self._check_required()
        self._check_company()
        self.label_map = _read_map('label_map', self.label_map, self._meanings())
        self.split_map = _read_map('split_map', self.split_map, SPLITS)
        self.conditions = read_filter(self.filter)
        try:
            self.uncertain_scores = check_policy(self.uncertain, self.labels)
            codecs.lookup(self.encoding)
        except (LookupError, ValueError) as error:
            raise ConfigError(f'table: {error}') from None

    @property
    def columns(self) -> list[str]:
        """All columns that must be there, each once, but those of ``path_pattern``."""
        named = [self.image, self.label, *self.labels, *self.group, self.split]
        named += [*self.masks, self.rater, *self.filter]
        in_path = self.pattern.groupindex if self.pattern else ()
        return [name for name in dict.fromkeys(named) if name and name not in in_path]

    @property
    def masks(self) -> list[str]:
        """The columns of masks, in the order of their classes."""
        if isinstance(self.mask, str):
            return [self.mask] if self.mask else []
        return [*self.mask.values()]

    def _check_required(self) -> None:
        example = "table=dict(file='cases.csv', image='file', label='diagnosis')"
        missing = [key for key in ('file', 'image') if not getattr(self, key)]
        if not self.label and not self.labels and not self.mask:
            missing.append('label (or labels)')
        if missing:
            raise ConfigError(f'table: say {", ".join(missing)}, such as {example}')
        if self.label and self.labels:
            raise ConfigError(
                'table: label is one column with the class, labels are columns of '
                'which each is a label: say one of the two'
            )

    def _check_company(self) -> None:
        """Checks what makes sense together with something else only."""
        if self.label_separator and self.labels:
            raise ConfigError('table.label_separator goes with label, not with labels')
        if self.uncertain != 'ignore' and (not self.labels or self.one_hot):
            raise ConfigError('table.uncertain goes with labels, not with one_hot')
        if self.one_hot and len(self.labels) < 2:
            raise ConfigError(
                'table.one_hot: name the columns, one a class, with table.labels '
                '(and table.label=None)'
            )
        self._check_choice('group_missing', ('error', 'alone'))
        self._check_choice('image_missing', ('error', 'leave_out'))
        self._check_choice('several_rows', ('', *WAYS))
        if self.rater and self.several_rows not in ('all', 'majority'):
            raise ConfigError(
                "table.rater goes with table.several_rows='majority' or 'all'"
            )
        if self.split_map and not self.split:
            raise ConfigError('table.split_map: name its column with table.split')
        if isinstance(self.file, str):
            return
        if self.split or not set(self.file) <= set(SPLITS):
            raise ConfigError(
                f'table.file: a table for each split is dict(train=..., val=..., '
                f'test=...) without table.split, got {dict(self.file)}'
            )

    def _check_choice(self, key: str, choices: Sequence[str]) -> None:
        if getattr(self, key) not in choices:
            expected = ' or '.join(choice for choice in choices if choice)
            raise ConfigError(
                f'table.{key}: {getattr(self, key)!r}, expected {expected}'
            )

    def _meanings(self) -> Sequence[str] | None:
        return _SCORES if self.labels else None


def _read_pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except (re.error, TypeError) as error:
        raise ConfigError(f'table.path_pattern={text!r}: {error}') from None
    if not pattern.groupindex:
        raise ConfigError(
            f'table.path_pattern={text!r}: expected a name for what it finds, such as '
            "'(?P<patient>...)', which is then the name of a column"
        )
    return pattern


def _read_map(
    key: str, given: Mapping[Any, Any], known: Iterable[str] | None
) -> dict[str, str | None]:
    """Reads what words mean; keys and values may be numbers in the config."""
    read = {plain(k): None if v is None else plain(v) for k, v in given.items()}
    wrong = [v for v in read.values() if v is not None and known and v not in known]
    if known and wrong:
        raise ConfigError(
            f'table.{key}: {wrong[0]!r} is no meaning, expected one of {[*known]} or '
            'None'
        )
    return read
