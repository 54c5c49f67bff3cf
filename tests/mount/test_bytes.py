"""The bytes of files: read, write, truncate, holes, mmap, fsync, on a real mount."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import random
import time

import pytest

from tests.mount.ground import Here, fails, noise, opened

RW = os.O_RDWR | os.O_CREAT
GIB = 1 << 30


def test_reads_and_writes_at_odd_offsets(here: Here) -> None:
    model, chance = bytearray(), random.Random(1)
    with opened(here.path / "file", RW) as fd:
        for _ in range(120):
            offset, size = chance.randrange(300_000), chance.randrange(1, 70_000)
            if chance.random() < 0.5:
                data = noise(size, chance.randrange(256))
                assert os.pwrite(fd, data, offset) == size
                model.extend(bytes(max(0, offset - len(model))))
                model[offset : offset + size] = data
            else:
                assert os.pread(fd, size, offset) == model[offset : offset + size]
            assert os.fstat(fd).st_size == len(model)
    assert (here.behind / "file").read_bytes() == model


def test_small_writes_are_read_back_in_order(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        for number in range(2000):
            os.write(fd, b"%05d\n" % number)
        assert os.lseek(fd, 0, os.SEEK_SET) == 0
        assert os.read(fd, 12) == b"00000\n00001\n"
        assert os.pread(fd, 6, 6 * 1234) == b"01234\n"
    text = (here.behind / "file").read_bytes()
    assert text == b"".join(b"%05d\n" % number for number in range(2000))


def test_a_large_file_goes_out_and_comes_back(here: Here) -> None:
    data = noise(24 << 20, 7)
    (here.path / "file").write_bytes(data)
    wanted = hashlib.sha256(data).digest()
    assert hashlib.sha256((here.behind / "file").read_bytes()).digest() == wanted
    (here.behind / "theirs").write_bytes(data)
    assert hashlib.sha256((here.path / "theirs").read_bytes()).digest() == wanted
    with opened(here.path / "theirs") as fd:  # backwards, by odd pieces
        for offset in range(len(data) - 99_999, 0, -3_333_333):
            assert os.pread(fd, 99_999, offset) == data[offset : offset + 99_999]


def test_gathered_and_scattered_transfers(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        assert os.writev(fd, [b"one", b"", b"two", b"three"]) == 11
        first, second = bytearray(4), bytearray(20)
        assert os.preadv(fd, [first, second], 1) == 10
        assert bytes(first + second[:6]) == b"netwothree"
        with fails(errno.EINVAL):
            os.lseek(fd, -1, os.SEEK_SET)


def test_a_hole_reads_as_zeros(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.pwrite(fd, b"end", 5 << 20)
        assert os.fstat(fd).st_size == (5 << 20) + 3
        assert os.pread(fd, 1 << 20, 1 << 20) == bytes(1 << 20)
        os.pwrite(fd, b"middle", 1_500_000)
        assert os.pread(fd, 10, 1_499_998) == b"\0\0middle\0\0"
        assert os.lseek(fd, 0, os.SEEK_END) == (5 << 20) + 3
        assert os.lseek(fd, 0, os.SEEK_DATA) >= 0
        assert os.lseek(fd, 0, os.SEEK_HOLE) in (0, (5 << 20) + 3)  # if holes are told at all
    assert (here.behind / "file").stat().st_size == (5 << 20) + 3


def test_beyond_four_gigabytes(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.ftruncate(fd, 6 * GIB)
        for offset in (4 * GIB - 7, 5 * GIB + 12_345, 6 * GIB):
            os.pwrite(fd, b"far out there!", offset)
        assert os.pread(fd, 20, 4 * GIB - 10) == b"\0\0\0far out there!\0\0\0"
        assert os.pread(fd, 14, 5 * GIB + 12_345) == b"far out there!"
        os.lseek(fd, 6 * GIB - 2, os.SEEK_SET)
        assert os.read(fd, 99) == b"\0\0far out there!"
        assert os.pread(fd, 14, 12_345 + GIB) == bytes(14)  # nothing wrapped round
    assert os.stat(here.path / "file").st_size == 6 * GIB + 14
    with (here.behind / "file").open("rb") as local:
        local.seek(5 * GIB + 12_345)
        assert local.read(14) == b"far out there!"
    os.truncate(here.path / "file", 4 * GIB + 1)
    assert (here.behind / "file").stat().st_size == 4 * GIB + 1


def test_truncating_cuts_and_extends(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, b"0123456789")
        os.ftruncate(fd, 4)
        assert os.fstat(fd).st_size == 4
        assert os.pread(fd, 99, 0) == b"0123"
        os.ftruncate(fd, 8)
        assert os.pread(fd, 99, 0) == b"0123\0\0\0\0"
        os.write(fd, b"!")  # at 10, where the offset stayed
        assert os.pread(fd, 99, 0) == b"0123\0\0\0\0\0\0!"
        os.truncate(here.path / "file", 2)
        assert os.fstat(fd).st_size == 2
        os.ftruncate(fd, 0)
    assert (here.behind / "file").read_bytes() == b""
    with fails(errno.ENOENT):
        os.truncate(here.path / "absent", 1)
    with fails(errno.EISDIR):
        os.truncate(here.path, 1)


def test_truncating_while_others_have_it_open(here: Here) -> None:
    (here.path / "file").write_bytes(noise(200_000))
    with opened(here.path / "file") as reader, opened(here.path / "file", os.O_RDWR) as writer:
        assert os.pread(reader, 10, 150_000) == noise(200_000)[150_000:150_010]
        os.truncate(here.path / "file", 100_000)
        assert os.pread(reader, 10, 150_000) == b""
        assert os.fstat(writer).st_size == 100_000
        os.pwrite(writer, b"x", 149_999)
        assert os.pread(reader, 99, 149_990) == bytes(9) + b"x"
        assert os.pread(reader, 5, 99_998) == noise(200_000)[99_998:100_000] + bytes(3)


def test_two_descriptors_see_each_others_bytes(here: Here) -> None:
    with opened(here.path / "file", RW) as one, opened(here.path / "file", os.O_RDWR) as two:
        for number in range(30):
            os.pwrite(one, b"%06d" % number, number * 5000)
            assert os.pread(two, 6, number * 5000) == b"%06d" % number
            os.pwrite(two, b"%06d" % -number, number * 5000)
            assert os.pread(one, 6, number * 5000) == b"%06d" % -number
        assert os.fstat(one).st_size == os.fstat(two).st_size == 29 * 5000 + 6


def test_a_closed_file_is_seen_by_the_other_mount(here: Here) -> None:
    for number in range(5):
        (here.path / "file").write_bytes(noise(50_000 + number, number))
        assert (here.other / "file").read_bytes() == noise(50_000 + number, number)
        (here.other / "back").write_bytes(noise(60_000 - number, number))
        assert (here.path / "back").read_bytes() == noise(60_000 - number, number)


def test_an_open_file_is_seen_by_the_other_mount_after_fsync(here: Here) -> None:
    with opened(here.path / "file", RW) as ours, opened(here.other / "file", os.O_RDWR) as theirs:
        os.write(ours, b"from here")
        os.fsync(ours)
        assert os.pread(theirs, 99, 0) == b"from here"
        os.pwrite(theirs, b"THERE", 5)
        os.fdatasync(theirs)
        time.sleep(1.1)  # what was read ahead is believed for actimeo
        assert os.pread(ours, 99, 0) == b"from THERE"


def test_fsync_puts_bytes_on_the_server(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, noise(300_000))
        os.fsync(fd)
        assert (here.behind / "file").read_bytes() == noise(300_000)
        os.pwrite(fd, b"x", 299_999)
        os.fdatasync(fd)
        assert (here.behind / "file").read_bytes()[-1:] == b"x"
    with opened(here.path / "file") as fd:
        os.fsync(fd)


def test_a_mapping_is_read(here: Here) -> None:
    data = noise(3_000_001)
    (here.behind / "file").write_bytes(data)
    with (
        opened(here.path / "file") as fd,
        mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapping,
    ):
        assert mapping[2_999_990:] == data[2_999_990:]
        assert mapping[:100_000] == data[:100_000]
        assert mapping.find(data[1_234_567:1_234_599], 1_200_000) == 1_234_567


def test_a_shared_mapping_is_written_back(here: Here) -> None:
    (here.path / "file").write_bytes(noise(100_000))
    with opened(here.path / "file", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapping:
        mapping[10:15] = b"FIRST"
        mapping[99_990:] = b"THE END..."
        assert os.pread(fd, 5, 10) == b"FIRST"
        mapping.flush()
        assert (here.behind / "file").read_bytes()[10:15] == b"FIRST"
        mapping[50_000:50_003] = b"mid"
    wanted = bytearray(noise(100_000))
    wanted[10:15], wanted[50_000:50_003], wanted[99_990:] = b"FIRST", b"mid", b"THE END..."
    assert (here.path / "file").read_bytes() == wanted
    assert (here.behind / "file").read_bytes() == wanted


def test_a_private_mapping_changes_nothing(here: Here) -> None:
    (here.path / "file").write_bytes(b"as it was")
    with (
        opened(here.path / "file") as fd,
        mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapping,
    ):
        mapping[:2] = b"XX"
        assert mapping[:] == b"XX it was"
    assert (here.behind / "file").read_bytes() == b"as it was"


def test_allocating_ahead_extends_the_file(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, b"start")
        os.posix_fallocate(fd, 0, 20_000)
        assert os.fstat(fd).st_size == 20_000
        assert os.pread(fd, 8, 0) == b"start\0\0\0"


def test_copying_between_two_files_of_the_mount(here: Here) -> None:
    data = noise(2_500_000)
    (here.path / "from").write_bytes(data)
    with opened(here.path / "from") as source, opened(here.path / "to", RW) as sink:
        copied = 0
        while copied < len(data):
            step = os.copy_file_range(source, sink, len(data) - copied)
            assert step > 0
            copied += step
        assert os.sendfile(sink, source, 0, 10) == 10
    assert (here.behind / "to").read_bytes() == data + data[:10]


def test_reading_at_the_end_and_beyond_it(here: Here) -> None:
    (here.path / "file").write_bytes(b"12345")
    with opened(here.path / "file") as fd:
        assert os.pread(fd, 10, 3) == b"45"
        assert os.pread(fd, 10, 5) == b""
        assert os.pread(fd, 10, 1 << 40) == b""
        assert os.pread(fd, 0, 0) == b""


def test_a_file_beyond_what_the_server_takes_is_refused(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        with fails(errno.EINVAL, errno.EFBIG, errno.ENOSPC, errno.EIO):
            os.ftruncate(fd, (1 << 63) - 1)
        os.write(fd, b"and lives on")
    assert (here.behind / "file").read_bytes() == b"and lives on"


@pytest.mark.parametrize("size", [4095, 4096, 65_535, 65_537, 1 << 20, (1 << 20) + 1])
def test_sizes_about_the_boundaries(here: Here, size: int) -> None:
    (here.path / "file").write_bytes(noise(size))
    assert (here.behind / "file").read_bytes() == noise(size)
    with (here.path / "file").open("ab") as more:
        more.write(b"+")
    assert (here.path / "file").read_bytes() == noise(size) + b"+"


def test_a_file_that_grows_is_followed(here: Here) -> None:
    (here.behind / "log").write_bytes(b"one\n")
    with opened(here.other / "log") as fd:
        assert os.read(fd, 99) == b"one\n"
        assert os.read(fd, 99) == b""
        with (here.behind / "log").open("ab") as local:
            local.write(b"two\n")
        os.fstat(fd)
        assert os.read(fd, 99) == b"two\n"
