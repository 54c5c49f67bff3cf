"""Freed memory: kept, where the C library lets us say so."""

from __future__ import annotations

import ctypes
import gc

import pytest

from smbfs.cli.memory import GROWN, collect_seldom, keep_freed


def test_glibc_keeps_what_was_freed() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("this C library is not glibc")
    assert keep_freed()


def test_another_library_is_let_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed()


def test_a_library_may_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def mallopt(self, what: int, value: int) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Refusing())
    assert not keep_freed()


def test_rings_are_looked_for_seldom_but_are() -> None:
    before, was_frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        gc.set_threshold(700)  # another test may have done it already
        before = gc.get_threshold()
        collect_seldom()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == GROWN > before[0]
        assert gc.get_freeze_count() > was_frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
