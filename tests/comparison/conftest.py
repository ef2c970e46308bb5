from __future__ import annotations

import pytest

from ff_mm.evaluation.evaluation_set import EvaluationSet


@pytest.fixture
def no_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes over evaluation sets fail."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError('a pass was made')

    monkeypatch.setattr(EvaluationSet, 'predict', refuse)
    monkeypatch.setattr(EvaluationSet, 'evaluate', refuse)
