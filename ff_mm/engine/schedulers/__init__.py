"""Parameter schedulers that MMEngine lacks."""

from ff_mm.engine.schedulers.cyclical_lr import (
    CyclicalLR,
    CyclicalParamScheduler,
    SawtoothLR,
)

__all__ = ['CyclicalLR', 'CyclicalParamScheduler', 'SawtoothLR']
