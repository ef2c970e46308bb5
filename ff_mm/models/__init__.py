"""Models that MMPretrain lacks."""

from ff_mm.models.linear_probing import LinearProbingClassifier

__all__ = ['LinearProbingClassifier']
