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

# What only one way can do, or cannot, is a promise of its own: the test or a module of tests, where
# it runs, and why only there.
ONLY: dict[str, tuple[str, str]] = {
    "tests/mount/test_open.py::test_a_file_without_a_name_is_refused_in_plain_words": (
        "pyfuse3",
        "it has no call for O_TMPFILE",
    ),
    "tests/semantics/test_locks.py::test_locks_stay_here": (
        "pyfuse3",
        "it has no calls for locks: the kernel keeps them, and the server hears of none",
    ),
    "tests/semantics/test_writing.py::test_what_pyfuse3_has_not": (
        "pyfuse3",
        "it has no calls for fallocate and lseek",
    ),
}
NATIVE = (  # modules, and tests, about what pyfuse3 has no call for
    "tests/semantics/test_room.py",
    "tests/semantics/test_locks.py::test_locks_hold_elsewhere",
    "tests/semantics/test_locks.py::test_waiting",
    "tests/semantics/test_locks.py::test_what_was_written_under_a_lock",
    "tests/semantics/test_locks.py::test_locks_are_enforced",
    "tests/semantics/test_locks.py::test_a_close_lets_go_of_a_process_s_locks",
    "tests/semantics/test_locks.py::test_the_last_descriptor_lets_go",
    "tests/semantics/test_locks.py::test_who_is_killed_holds_nothing",
    "tests/semantics/test_locks.py::test_a_part_that_is_let_go",
    "tests/semantics/test_locks.py::test_records_side_by_side",
    "tests/semantics/test_locks.py::test_when_the_server_learns_of_a_lock",
    "tests/semantics/test_absence.py::test_who_is_killed_is_gone",
    "tests/semantics/test_absence.py::test_interrupting",
    "tests/semantics/test_recovery.py::test_waiting_for_the_server",
    "tests/semantics/test_recovery.py::test_locks_are_taken_again",
    "tests/mount/test_native.py",
)
ONLY |= dict.fromkeys(
    NATIVE, ("native", "pyfuse3 has no calls for locks, holes, copies, flags and interrupts")
)


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
    for name in (test, test.partition("::")[0]):
        if name in ONLY:
            return (ONLY[name][0],)
    return TRANSPORTS
