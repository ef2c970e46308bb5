"""Memory of the CPU that is freed and soon wanted again."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# glibc's malloc.h. Of the second it takes no more, and comes to that by itself.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _MAPPED = 1 << 30, 1 << 25


def keep_freed_memory() -> None:
    """Has the C library keep up to 1 GB of what is freed, for what comes next.

    A network on a CPU takes and frees memory for the output of each layer. What is at
    the end of the heap goes back to the system, which clears it anew each time: that is
    a fifth of a pass (0.3 of 1.5 s of EfficientNet-Lite0 over 333 images of 96 px), or
    nothing, depending on what happens to lie behind it. Blocks of 32 MB or more are
    mapped, and go back when they are freed, as ever.

    Where there is another C library than glibc, this does nothing.
    """
    # Windows, other systems, other libraries.
    with suppress(TypeError, OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _MAPPED)
