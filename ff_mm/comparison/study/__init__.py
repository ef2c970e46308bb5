"""A study: one comparison a data set, and what they say together."""

from __future__ import annotations

from ff_mm.comparison.study.setting import Setting, read_settings
from ff_mm.comparison.study.study import Study
from ff_mm.comparison.study.writing import study_table, write_study

__all__ = ['Setting', 'Study', 'read_settings', 'study_table', 'write_study']
