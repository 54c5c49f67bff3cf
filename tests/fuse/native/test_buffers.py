"""A buffer that somebody looks into is not read into again."""

from __future__ import annotations

from smbfs.fuse.native.buffers import KEPT, Buffers, is_free


def test_a_free_buffer_is_used_again() -> None:
    buffers = Buffers(64)
    first = buffers.free()
    assert len(first) == 64
    assert buffers.free() is first


def test_one_with_a_view_is_not_until_the_last_is_gone() -> None:
    buffers = Buffers(64)
    first = buffers.free()
    view = memoryview(first)[8:16]
    part = view[2:4]
    second = buffers.free()
    assert second is not first
    assert len(first) == len(second) == 64
    held = memoryview(second)
    del view
    assert not is_free(first)
    del part
    assert buffers.free() is first
    held.release()


def test_a_flood_leaves_no_more_than_is_worth_keeping() -> None:
    buffers = Buffers(16)
    views = [memoryview(buffers.free()) for _ in range(3 * KEPT)]
    buffers.tidy()
    assert len(buffers._buffers) == 3 * KEPT  # all are in use
    kept = views[0]
    del views
    buffers.tidy()
    assert len(buffers._buffers) == 1
    assert not is_free(buffers._buffers[0])
    kept.release()
    assert buffers.free() is buffers._buffers[0]
    buffers.tidy()
    assert len(buffers._buffers) == 1


def test_when_all_are_free_one_stays() -> None:
    buffers = Buffers(16)
    views = [memoryview(buffers.free()) for _ in range(KEPT + 1)]
    views.clear()
    buffers.tidy()
    assert len(buffers._buffers) == 1
