"""One count of the bytes that a mount keeps in memory for file data.

Pure: it says how much room there is and how much was taken; who waits for room is the caller's
business.
"""

from __future__ import annotations


class Budget:
    """Bytes of file data in memory, against a limit, and how many files they are spread over."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.holders = 0  # files that hold some of it; each counts itself in and out

    @property
    def room_bytes(self) -> int:
        """What may still be taken; never negative."""
        return max(0, self.limit_bytes - self.used_bytes)

    @property
    def share_bytes(self) -> int:
        """What one file may hold if all who hold something shall have the same."""
        return self.limit_bytes // max(1, self.holders)

    def take(self, size: int) -> None:
        """Count bytes as kept; the limit is the caller's to respect."""
        self.used_bytes += size

    def give(self, size: int) -> None:
        """Count bytes as gone; raises ValueError if that many were never taken."""
        if size > self.used_bytes:
            raise ValueError(f"{size} bytes given back of {self.used_bytes}")
        self.used_bytes -= size
