"""What the C library does with memory that was freed.

Every write comes from the kernel in fresh memory, up to 1 MiB of it.  glibc would give that back
to the system when it is freed and take it again, page by page, for the next one: a fifth of what
a write costs.
"""

from __future__ import annotations

import contextlib
import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as mallopt(3) numbers them
KEPT_BYTES = 32 << 20  # the most that it allows; twice what one file may have unsent


def keep_freed() -> bool:
    """Have freed memory kept for the next use, up to a limit; whether the C library can."""
    with contextlib.suppress(AttributeError):  # it may be another than glibc
        change = ctypes.CDLL(None).mallopt
        return all(change(what, KEPT_BYTES) for what in (TRIM_THRESHOLD, MMAP_THRESHOLD))
    return False
