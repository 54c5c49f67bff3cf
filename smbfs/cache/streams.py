"""Who reads one file in order, and how far ahead of him to ask.

Pure, and only an opinion: a wrong guess costs time, never a wrong byte.  The kernel's own reads of
one stream arrive in parallel and in any order, so a place near a stream belongs to it; but only a
reader who reads most of what he passes, and moves forward, is read ahead of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

START_BYTES = 256 * 1024  # the first window of a stream
SLACK_BYTES = 2 * 1024 * 1024  # kernel reads arrive this much out of order and are one stream
MEMORY_BYTES = 16 * 1024 * 1024  # older evidence counts half
MOST_STREAMS = 2


@dataclass(slots=True)
class Stream:
    """One reader, or what looks like one."""

    start: int  # since here it is watched
    front: int  # the furthest byte it asked for
    ahead: int  # asked of the server up to here
    read_bytes: int = 0
    reads: int = 0
    window: int = START_BYTES

    @property
    def is_sequential(self) -> bool:
        """Whether the evidence is for a reader in order; who begins a file is taken for one."""
        is_known = self.reads > 1 or self.start == 0
        return is_known and self.read_bytes * 2 >= self.front - self.start

    def note(self, offset: int, end: int) -> bool:
        """Note a read; tell whether it moved the front."""
        moved = end > self.front
        self.start = min(self.start, offset)
        self.front = max(self.front, end)
        self.read_bytes += end - offset
        self.reads += 1
        if self.front - self.start > MEMORY_BYTES:
            self.start = (self.start + self.front) // 2
            self.read_bytes //= 2
        return moved


@dataclass(slots=True)
class Streams:
    """The readers of one file."""

    window_bytes: int  # the largest window
    _streams: list[Stream] = field(default_factory=list)  # the last one used comes first

    def missed(self, offset: int, end: int, *, is_late: bool) -> Stream | None:
        """Note a read that has to wait; the stream to read ahead of, if it is one.

        ``is_late`` tells that bytes were read ahead and grew old unread: the window was too large.
        """
        stream = self._near(offset)
        if stream is None:
            stream = Stream(offset, offset, offset)
            self._streams.insert(0, stream)
            del self._streams[MOST_STREAMS:]
            stream.note(offset, end)
            return stream if stream.is_sequential else None
        has_to_wait = stream.front <= offset <= stream.ahead
        moved = stream.note(offset, end)
        if not moved or not stream.is_sequential:
            return None
        if is_late:
            stream.window = max(START_BYTES, stream.window // 2)
        elif has_to_wait:
            stream.window = min(stream.window * 2, self.window_bytes)
        return stream

    def hit(self, offset: int, end: int) -> Stream | None:
        """Note a read that was answered; the stream to stay ahead of, if it is one."""
        stream = self._near(offset)
        if stream is None or not stream.note(offset, end) or not stream.is_sequential:
            return None
        return stream

    def _near(self, offset: int) -> Stream | None:
        for stream in self._streams:
            if stream.front - SLACK_BYTES <= offset <= stream.front + SLACK_BYTES:
                self._streams.remove(stream)
                self._streams.insert(0, stream)
                return stream
        return None
