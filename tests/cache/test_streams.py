"""Read-ahead is an opinion about readers: who gets some, and how much."""

from __future__ import annotations

import random

from smbfs.cache.streams import MEMORY_BYTES, MOST_STREAMS, SLACK_BYTES, START_BYTES, Streams

KIB = 1024
MIB = 1 << 20


def test_who_begins_a_file_is_read_ahead_of_at_once() -> None:
    stream = Streams(8 * MIB).missed(0, 4 * KIB, is_late=False)
    assert stream is not None
    assert stream.window == START_BYTES


def test_elsewhere_a_second_read_is_waited_for() -> None:
    streams = Streams(8 * MIB)
    assert streams.missed(MIB, MIB + 4 * KIB, is_late=False) is None
    assert streams.missed(MIB + 4 * KIB, MIB + 8 * KIB, is_late=False) is not None


def test_a_random_reader_gets_nothing() -> None:
    streams, chance = Streams(8 * MIB), random.Random(4)
    for _ in range(500):
        offset = 4 * KIB * chance.randrange(1, 4 * MIB // (4 * KIB))
        assert streams.missed(offset, offset + 4 * KIB, is_late=False) is None


def test_who_picks_a_little_here_and_there_gets_nothing() -> None:
    streams = Streams(8 * MIB)
    found = [
        streams.missed(offset, offset + 4 * KIB, is_late=False)
        for offset in range(64 * KIB, 2 * MIB, 64 * KIB)
    ]
    assert not any(found)


def test_who_reads_backwards_gets_nothing() -> None:
    streams = Streams(8 * MIB)
    for offset in range(4 * MIB, 0, -128 * KIB):
        assert streams.missed(offset, offset + 128 * KIB, is_late=False) is None


def test_reads_out_of_order_are_one_stream() -> None:
    streams = Streams(8 * MIB)
    size = 128 * KIB
    for number in (0, 2, 1, 3, 5, 4, 6, 7):
        streams.missed(number * size, (number + 1) * size, is_late=False)
    assert len(streams._streams) == 1
    assert streams._streams[0].is_sequential
    assert streams._streams[0].front == 8 * size


def test_the_window_doubles_when_the_reader_has_to_wait() -> None:
    streams = Streams(4 * START_BYTES)
    windows = []
    for number in range(5):
        stream = streams.missed(number * KIB, (number + 1) * KIB, is_late=False)
        assert stream is not None
        stream.ahead = stream.front
        windows.append(stream.window // START_BYTES)
    assert windows == [1, 2, 4, 4, 4]


def test_the_window_shrinks_when_bytes_grow_old_unread() -> None:
    streams = Streams(64 * MIB)
    stream = streams.missed(0, KIB, is_late=False)
    assert stream is not None
    stream.window = 4 * START_BYTES
    for number in range(1, 5):
        assert streams.missed(number * KIB, (number + 1) * KIB, is_late=True) is stream
    assert stream.window == START_BYTES


def test_two_streams_live_side_by_side_and_a_third_ends_the_oldest() -> None:
    streams = Streams(8 * MIB)
    for offset in (0, 100 * MIB, 0, 200 * MIB):
        streams.missed(offset, offset + KIB, is_late=False)
    assert len(streams._streams) == MOST_STREAMS
    assert [stream.start for stream in streams._streams] == [200 * MIB, 0]


def test_a_hit_counts_as_evidence() -> None:
    streams = Streams(8 * MIB)
    assert streams.hit(0, KIB) is None, "nobody is known there"
    assert streams.missed(MIB, MIB + KIB, is_late=False) is None
    assert streams.hit(MIB, MIB + KIB) is None, "that was read already"
    assert streams.hit(MIB + KIB, MIB + 2 * KIB) is not None
    assert streams.hit(MIB + KIB + SLACK_BYTES, MIB + 2 * KIB + SLACK_BYTES) is None, "a jump"


def test_what_was_long_ago_counts_less() -> None:
    streams = Streams(8 * MIB)
    stream = streams.missed(0, 128 * KIB, is_late=False)
    assert stream is not None
    for offset in range(128 * KIB, 4 * MEMORY_BYTES, 128 * KIB):
        streams.hit(offset, offset + 128 * KIB)
    assert stream.is_sequential
    assert stream.front - stream.start <= MEMORY_BYTES
    for _ in range(20):
        offset = stream.front + SLACK_BYTES
        streams.hit(offset, offset + KIB)
    assert not stream.is_sequential
