"""What the C library does with memory that was freed, and how often Python looks for more.

Every write comes from the kernel in fresh memory, up to 1 MiB of it.  glibc would give that back
to the system when it is freed and take it again, page by page, for the next one: a fifth of what
a write costs.

Python looks for rings of objects that nobody knows any more each time that 700 more were made than
freed; every name of a folder is a few of them, so a large folder took a third longer for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as mallopt(3) numbers them
KEPT_BYTES = 32 << 20  # the most that it allows; twice what one file may have unsent
GROWN = 25_000  # objects more than before: some MB, before the young ones are looked through
ROUNDS = 20  # looks at the young before one at the older ones


def collect_seldom() -> None:
    """Have Python look for rings of unused objects less often, and never at those it began with."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GROWN, ROUNDS, ROUNDS)


def keep_freed() -> bool:
    """Have freed memory kept for the next use, up to a limit; whether the C library can."""
    with contextlib.suppress(AttributeError):  # it may be another than glibc
        change = ctypes.CDLL(None).mallopt
        return all(change(what, KEPT_BYTES) for what in (TRIM_THRESHOLD, MMAP_THRESHOLD))
    return False
