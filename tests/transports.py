"""The ways to the kernel, and that whatever a test mounts is mounted by every one of them.

A test that mounts stands on the fixture `transport`, by its own wish, through another fixture or
because its directory does; it then runs once for each of TRANSPORTS.  `MountedShare` asks here for
the option, and outside of such a test refuses, so that nothing is mounted one way only by mistake.

Knows the option's values, and which test is about the limits of one of them; no pytest, no mount.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

TRANSPORTS = ("native", "pyfuse3")  # in the order in which the tests take them

# What only one way cannot do is a promise of its own: the test, where it runs, and why only there.
ONLY: dict[str, tuple[str, str]] = {
    "tests/mount/test_open.py::test_a_file_without_a_name_is_refused_in_plain_words": (
        "pyfuse3",
        "it has no call for O_TMPFILE",
    ),
    "tests/semantics/test_absence.py::test_locks_stay_here": (
        "pyfuse3",
        "it has no calls for locks: the kernel keeps them, and the server hears of none",
    ),
    "tests/semantics/test_writing.py::test_what_pyfuse3_has_not": (
        "pyfuse3",
        "it has no calls for fallocate and lseek",
    ),
}


class Outside(RuntimeError):
    """Something was to be mounted by a test that does not run for every transport."""


class Matrix:
    """Which transport the running test mounts by, if it is one that mounts."""

    def __init__(self) -> None:
        self._transport: str | None = None

    @contextlib.contextmanager
    def by(self, transport: str | None) -> Iterator[None]:
        """Mount what is inside by that one; by none, let nothing be mounted."""
        before, self._transport = self._transport, transport
        try:
            yield
        finally:
            self._transport = before

    def option(self) -> str:
        """The mount option.  Raises Outside in a test without the fixture `transport`."""
        if self._transport is None:
            raise Outside('a test that mounts needs the fixture "transport", see tests/transports')
        return f"transport={self._transport}"


MATRIX = Matrix()


def transports_of(test: str) -> tuple[str, ...]:
    """The transports for which a test runs, by its node id without parameters."""
    return (ONLY[test][0],) if test in ONLY else TRANSPORTS
