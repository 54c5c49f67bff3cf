"""The bench's own parts: the relay, the files of a seed, the table and its ratios."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.distance import rows
from tests.bench.distance.ground import MIB, Ground, Scale
from tests.bench.distance.relay import Frames
from tests.bench.distance.results import GUEST, Results, from_plain, picture
from tests.bench.distance.rows import NOT_SENT, ROWS

DELAY_S = 0.02


@contextmanager
def relay(delay_s: float) -> Iterator[tuple[socket.socket, subprocess.Popen[str]]]:
    """A connection to somebody who says everything back, by a relay."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        to = f"127.0.0.1:{listener.getsockname()[1]}"
        words = ["-m", "tests.bench.distance.relay", "--to", to, "--delay", str(delay_s)]
        process = subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with (
            process,
            socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as sock,
        ):
            sock.settimeout(20)
            yield sock, process
            process.stdin.close()
            assert process.wait(20) == 0


def counted(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("count\n")
    process.stdin.flush()
    found: dict[str, int] = json.loads(process.stdout.readline())
    return found


def heard(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size)
    return data


def test_a_relay_is_as_long_as_it_says_and_counts() -> None:
    frame = (10).to_bytes(4, "big") + bytes(10)
    with relay(DELAY_S) as (sock, process):
        for _ in range(3):
            begun_s = time.monotonic()
            sock.sendall(frame)
            assert heard(sock, len(frame)) == frame
            assert time.monotonic() - begun_s >= 2 * DELAY_S
        sock.sendall(frame * 2)
        heard(sock, 2 * len(frame))
        size = 5 * len(frame)
        assert counted(process) == {"turns": 4, "frames": 5, "sent": size, "received": size}
        assert counted(process) == {"turns": 0, "frames": 0, "sent": 0, "received": 0}


def test_what_is_long_comes_whole() -> None:
    data = bytes(range(256)) * 4096 * 4
    with relay(0.001) as (sock, _):
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        assert heard(sock, len(data)) == data
        sender.join()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_frames_are_counted_however_they_are_cut(sizes: list[int], data: st.DataObject) -> None:
    stream = b"".join(size.to_bytes(4, "big") + bytes(size) for size in sizes)
    frames, at = Frames(), 0
    while at < len(stream):
        count = data.draw(st.integers(1, len(stream) - at))
        frames.feed(stream[at : at + count])
        at += count
    assert frames.count == len(sizes)


def test_a_seed_decides_names_counts_and_sizes() -> None:
    one, other = Scale.of(1), Scale.of(2)
    assert one == Scale.of(1) != other
    for scale in (one, other):
        assert abs(scale.large / (256 * MIB) - 1) < 0.04
        assert abs(scale.listed / 5000 - 1) < 0.04
    grounds = [Ground(Path("/a"), Path("/b"), seed, one) for seed in (1, 1, 2)]
    assert grounds[0].large == grounds[1].large != grounds[2].large


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A server's disk that is its own mount."""
    behind, here = tmp_path / "behind", tmp_path / "here"
    behind.mkdir()
    here.mkdir()
    made = Ground(behind, here, 7, Scale(MIB + 5, 12, 4, 100, 3))
    made.prepare()
    return made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_checked(ground: Ground, row: rows.Row) -> None:
    """On the bare disk each row passes; where nothing was done it does not, if it changes any."""
    row.reset(ground)
    if row.check is not rows._is_read:
        changes = row.command(ground, ground.behind)[0] in ("cp", "rm") or "fsync" in row.name
        assert bool(row.check(ground, ground.behind)) == changes
    subprocess.run(row.command(ground, ground.behind), check=True, stdout=subprocess.DEVNULL)
    assert row.check(ground, ground.behind) == ""
    row.reset(ground)


def test_what_is_half_sent_is_told(ground: Ground) -> None:
    written = ground.behind / "written"
    written.write_bytes(b"x")
    assert rows._is_written(ground, ground.behind) == NOT_SENT
    written.write_bytes(bytes(ground.scale.large))
    assert rows._is_written(ground, ground.behind) == "wrong bytes"


@pytest.fixture
def results() -> Results:
    made = Results(10.0, {"read": 0.5})
    for seconds in (3.0, 1.0, 2.0):
        made.cell("read", "smbfs").seconds.append(seconds)
        made.cell("read", "other").seconds.append(3 * seconds)
    made.cell("read", "smbfs").turns += [4, 6]
    made.cell("read", "smbfs").mebibytes += [1.0, 3.0]
    made.cell("read", "slow").failures.append("> 120")
    return made


def test_a_table_leaves_nobody_out(results: Results) -> None:
    [_, _, line] = results.table().splitlines()
    assert line == "| read | 2.00 (1.00-3.00) | 6.00 (3.00-9.00) | > 120 | 0.5 | 3.0 |"
    assert "5 turns, 2.00 MiB" in results.turns()


def test_the_guest_is_compared_with_itself(results: Results) -> None:
    inside = Results(10.0, {})
    inside.cell("read", f"smbfs{GUEST}").seconds.append(4.0)
    inside.cell("read", f"cifs.ko{GUEST}").seconds.append(2.0)
    results.take(from_plain(inside.plain()))
    assert results.table().splitlines()[-1].endswith("| 0.5 | 3.0, 0.5 |")


def test_what_was_written_down_can_be_read(results: Results) -> None:
    again = from_plain(json.loads(json.dumps(results.plain())))
    assert again.table() == results.table()


def test_a_picture_shows_all(results: Results, tmp_path: Path) -> None:
    picture([results], tmp_path / "picture.svg")
    drawn = (tmp_path / "picture.svg").read_text()
    for words in ("smbfs: 2.00", "other: 6.00", "slow: &gt; 120", "10 ms"):
        assert words.replace("&gt;", ">") in drawn


def test_the_filter_of_the_guest_answers_one_request_only() -> None:
    call = "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True);"
    call += "from tests.bench.distance.xstate import hide; hide();"
    call += "print([(libc.ptrace(one, 0, 0, 0), ctypes.get_errno()) for one in (0x4204, 0x4205)])"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    filtered = 5 if platform.machine() == "x86_64" else 3  # EIO by the filter, else ESRCH
    assert done.stdout.strip() == f"[(-1, {filtered}), (-1, 3)]"
