"""The memory that requests are read into, used again when nobody looks into it any more.

Easily broken: a WRITE's data stay where they were read and are kept by whoever sends them, so a
buffer is free only when no view of it is left, which the buffer itself knows: a bytearray that
somebody looks into refuses to change its size.
"""

from __future__ import annotations

KEPT = 16  # free buffers, of a little more than 1 MiB each


class Buffers:
    """Buffers of one size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffers: list[bytearray] = []
        self._next = 0

    def free(self) -> bytearray:
        """A buffer that nobody looks into; it may be handed out again until somebody does."""
        for _ in range(len(self._buffers)):
            buffer = self._buffers[self._next]
            if is_free(buffer):
                return buffer
            self._next = (self._next + 1) % len(self._buffers)
        buffer = bytearray(self._size)
        self._buffers.append(buffer)
        self._next = len(self._buffers) - 1
        return buffer

    def tidy(self) -> None:
        """Let go of buffers beyond those that are worth keeping, once they are free."""
        if len(self._buffers) <= KEPT:
            return
        self._buffers = [one for one in self._buffers if not is_free(one)] or self._buffers[:1]
        self._next = 0


def is_free(buffer: bytearray) -> bool:
    """Whether no view of a buffer is left."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True
