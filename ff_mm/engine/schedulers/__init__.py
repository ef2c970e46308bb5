"""Parameter schedulers that MMEngine lacks."""

from ff_mm.engine.schedulers.cyclical_lr import CyclicalLR, CyclicalParamScheduler

__all__ = ['CyclicalLR', 'CyclicalParamScheduler']
