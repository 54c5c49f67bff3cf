"""The torture harness: plans repeat, the proxy strikes, the judge sees; and a short campaign."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from smbfs.wire.header import Command
from tests import samba
from tests.torture import diary, programs, run, workloads
from tests.torture.diary import Diary
from tests.torture.judge import judged
from tests.torture.plan import DOWN, KINDS, MOUNTS, UP, Fault, described, draw
from tests.torture.proxy import Proxy
from tests.torture.workloads import RECORD, document, record, still

# Plans


def test_a_plan_is_its_seed_s() -> None:
    assert draw(5) == draw(5)
    assert len({draw(seed) for seed in range(50)}) == 50


def test_everything_is_drawn() -> None:
    plans = [draw(seed) for seed in range(400)]
    kinds = Counter(fault.kind for plan in plans for fault in plan.faults)
    assert kinds.keys() == KINDS.keys()
    assert {plan.options for plan in plans} == {options for options, _ in MOUNTS}
    assert all(0 < fault.at_s <= plan.seconds for plan in plans for fault in plan.faults)
    assert "cut" in described([Fault(1, "cut"), Fault(2, "silence", 1)])


# The proxy

FRAME = b"\0\0\0\x14" + b"\xfeSMB" + bytes(8) + Command.OPLOCK_BREAK.to_bytes(2, "little") + b"??"
FRAME += b"more"
OTHER = b"\0\0\0\4data"


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(end: socket.socket) -> None:
        with end:
            while data := end.recv(65536):
                end.sendall(data)

    def accept() -> None:
        try:
            while True:
                threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
        except OSError:
            return

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def received(end: socket.socket, size: int, wait_s: float = 0.3) -> bytes:
    """So many bytes, or fewer if the line ends or nothing comes for a while."""
    data = b""
    end.settimeout(wait_s)
    try:
        while len(data) < size and (more := end.recv(size - len(data))):
            data += more
    except TimeoutError:
        return data
    return data


def through(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port))


@pytest.mark.parametrize("kind", ["", "split", "merge", "delay"])
def test_what_passes_is_whole(echo: int, kind: str) -> None:
    with Proxy(echo) as proxy, through(proxy) as end:
        proxy.strike(Fault(0, kind, 5))
        end.sendall(OTHER + FRAME)
        assert received(end, 100) == OTHER + FRAME


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_cut_in_a_frame(echo: int, direction: str) -> None:
    with Proxy(echo) as proxy, through(proxy) as end:
        proxy.strike(Fault(0, "cut in a frame", direction=direction, frames=1, part=0.5))
        end.sendall(OTHER + FRAME + OTHER)
        # What the server got of the second is no frame, and comes back only from it.
        assert (OTHER + FRAME[: len(FRAME) // 2]).startswith(received(end, 100, 5))
        with through(proxy) as again:
            again.sendall(OTHER)
            assert received(again, 8) == OTHER


def test_silence_ends(echo: int) -> None:
    with Proxy(echo) as proxy, through(proxy) as end:
        proxy.strike(Fault(0, "silence", 0.6, UP))
        end.sendall(OTHER)
        assert received(end, 8) == b""
        assert received(end, 8, 5) == OTHER
        proxy.strike(Fault(0, "silence", 60))
        end.sendall(OTHER)
        assert received(end, 8) == b""
        proxy.heal()
        assert received(end, 8, 5) == OTHER


def test_a_black_hole_takes_new_connections(echo: int) -> None:
    with Proxy(echo) as proxy:
        proxy.strike(Fault(0, "black hole", 60))
        with through(proxy) as end:
            end.sendall(OTHER)
            assert received(end, 8) == b""


def test_breaks_are_not_acknowledged(echo: int) -> None:
    with Proxy(echo) as proxy, through(proxy) as end:
        proxy.strike(Fault(0, "no acknowledgements of breaks", 60))
        end.sendall(FRAME + OTHER)
        assert received(end, 100) == OTHER


ANSWER = b"\xfeSMB" + bytes(20) + b"\x05" + bytes(7)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def test_answers_overtake_each_other_and_are_whole(echo: int) -> None:
    answers = [framed(ANSWER + bytes([number]) * 9) for number in range(40)]
    with Proxy(echo) as proxy, through(proxy) as end:
        proxy.strike(Fault(0, "reordered answers", 60, DOWN))
        end.sendall(b"".join(answers))
        data = received(end, sum(map(len, answers)), 2)
    size = len(answers[0])
    came = [data[at : at + size] for at in range(0, len(data), size)]
    assert came != answers
    assert sorted(came) == answers


@pytest.mark.parametrize(
    "message",
    [
        ANSWER[:8] + b"\x03\x01\0\0" + ANSWER[12:],  # interim: what is final comes after it
        ANSWER[:24] + b"\xff" * 8,  # a break, which nobody asked for
        b"\xfdSMB" + ANSWER[4:],  # sealed: nobody knows what it is
    ],
)
def test_what_has_an_order_keeps_it(echo: int, message: bytes) -> None:
    frames = [framed(message + bytes([number])) for number in range(40)]
    with Proxy(echo) as proxy, through(proxy) as end:
        proxy.strike(Fault(0, "reordered answers", 60))
        end.sendall(b"".join(frames))
        assert received(end, sum(map(len, frames)), 2) == b"".join(frames)


def test_a_cut_ends_all_and_a_dead_server_none(echo: int) -> None:
    with Proxy(echo) as proxy, through(proxy) as end:
        end.sendall(OTHER)
        assert received(end, 8) == OTHER
        proxy.strike(Fault(0, "cut"))
        assert received(end, 1) == b""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Proxy(port) as proxy, through(proxy) as end:
        assert received(end, 1) == b""


# The judge


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A share as all programs would leave it, and a place for diaries."""
    made = tmp_path / "share"
    for name in workloads.WORKLOADS:
        (made / name).mkdir(parents=True)
    (made / "reader" / "still").write_bytes(still())
    (tmp_path / "diaries").mkdir()
    return made


def say(folder: Path, name: str, *lines: object) -> None:
    with (folder.parent / "diaries" / name).open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def verdict(folder: Path) -> list[str]:
    found = judged(folder, folder.parent / "diaries", 1, 2)
    return found.complaints + found.late


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_programs_on_a_good_disk_are_told_the_truth(folder: Path, name: str) -> None:
    import time

    path = folder.parent / "diaries" / name
    workloads.WORKLOADS[name](folder / name, Diary(path, time.monotonic() + 1.0), Random(1))
    assert verdict(folder) == []
    found = judged(folder, folder.parent / "diaries", 1, 2)
    assert found.acknowledged > 0 or name == "reader"
    assert len([line for line in diary.read(path) if "call" in line or "program" in line]) > 1


def test_records_that_are_lost_torn_or_invented(folder: Path) -> None:
    say(folder, "records", {"tried": [0, 1]}, {"safe": [[0, 1]]})
    path = folder / "records" / "records"
    assert verdict(folder) == ["records: slot 0 has version 0, and 1 was safe"]
    path.write_bytes(record(0, 1))
    assert verdict(folder) == []
    path.write_bytes(record(0, 2))
    assert verdict(folder) == ["records: slot 0 has version 2, which nobody wrote"]
    path.write_bytes(record(0, 1)[:100])
    assert "slot 0 is torn" in verdict(folder)[0]
    say(folder, "records", {"tried": [0, 2]})
    assert verdict(folder) == [], "a write was under way"
    path.write_bytes(record(0, 2))
    assert verdict(folder) == []
    say(folder, "records", {"tried": [1, 3]}, {"safe": [[1, 3]]}, {"tried": [1, 4]})
    path.write_bytes(record(0, 2) + bytes(RECORD))
    assert verdict(folder) == ["records: slot 1 has version 0, and 3 was safe"]


def test_lines_that_are_lost_or_there_twice(folder: Path) -> None:
    say(folder, "lines", {"safe_lines": [1, 2]})
    path = folder / "lines" / "lines"
    path.write_bytes(b"%012d\n" % 1)
    assert verdict(folder) == ["lines: line 2 was safe and is not there"]
    path.write_bytes(b"".join(b"%012d\n" % number for number in (1, 2, 2)))
    assert verdict(folder) == ["lines: 1 lines are there twice"]


def test_documents_that_are_lost_or_mixed(folder: Path) -> None:
    say(folder, "editor", {"tried_document": 1}, {"tried_document": 2}, {"safe_document": 2})
    path = folder / "editor" / "document"
    assert verdict(folder) == ["editor: the document is not there, version 2 was saved"]
    for content, words in (
        (document(1), ["editor: the document is version 1, 2 was saved"]),
        (document(2)[:-1], ["editor: the document is version None, which nobody saved"]),
        (document(3), ["editor: the document is version 3, which nobody saved"]),
        (document(2), []),
    ):
        path.write_bytes(content)
        assert verdict(folder) == words


def test_names_that_are_lost_or_stay(folder: Path) -> None:
    say(folder, "names", {"made": "a"}, {"made": "b"}, {"unmade": "b", "gone": True})
    (folder / "names" / "b").mkdir()
    assert verdict(folder) == [
        "names: a was made and is not there",
        "names: b was removed and is there",
    ]


def test_a_file_that_nobody_changed(folder: Path) -> None:
    (folder / "reader" / "still").write_bytes(still()[:-1])
    assert verdict(folder) == ["reader: a file that nobody wrote to has changed"]


def test_databases(folder: Path) -> None:
    say(folder, "database", {"safe_row": 1}, {"safe_row": 2})
    path = folder / "database" / "rows.db"
    assert verdict(folder) == ["database: the database is not there"]
    path.write_bytes(b"this is no database, whatever else it may be" * 50)
    assert "the database is broken" in verdict(folder)[0]
    path.unlink()
    base = sqlite3.connect(path)
    base.execute("create table rows (number integer primary key)")
    base.execute("insert into rows values (1)")
    base.commit()
    base.close()
    assert verdict(folder) == ["database: 1 rows were committed and are not there: [2]"]


def test_commits_and_archives_that_are_lost(folder: Path) -> None:
    say(folder, "repository", {"safe_commit": "1" * 40})
    assert verdict(folder) == ["repository: repository: the repository is not there"]
    programs._git(folder / "repository", Diary(folder.parent / "git", 1.0), "init")
    say(folder, "repository", {"safe_clone": [3, "1" * 40]})
    say(folder, "archive", {"safe_archive": [1, "digest"]}, {"safe_tree": 2})
    found = verdict(folder)
    assert "git fsck of repository: " in found[0]
    assert found.pop(1) == "repository: 3: the repository is not there"
    assert "archive: archive 1 is not what tar has packed" in found
    assert "file-0 of tree 2 is not what was unpacked" in found[2]


def test_calls_that_are_late_and_lies_that_were_noticed(folder: Path) -> None:
    say(folder, "reader", {"call": "stat", "s": 1.5, "error": "EIO"}, {"wrong": "nonsense"})
    say(folder, "lines", {"call": "fsync", "s": 1.5})
    assert verdict(folder) == ["reader: nonsense", "stat took 1.5 s (EIO)"]


def liar(do: Callable[[Path, Diary], None], folder: Path) -> list[str]:
    do(folder, Diary(folder.parent / "diaries" / "reader", float("inf")))
    return verdict(folder)


def test_a_diary_of_an_error(folder: Path) -> None:
    made = Diary(folder.parent / "diaries" / "reader", 0)
    with made.forgiving():
        made.call("open", open, folder / "absent")
    assert made.is_over
    assert diary.read(made.path)[1]["error"] == "ENOENT"


# A campaign


def test_a_few_bad_days(transport: str) -> None:
    if not samba.is_installed():
        pytest.skip("needs smbd: packaging/bootstrap installs it")
    outcomes = run.campaign([13 if transport == "native" else 15], 1.5)
    told = run.summary(outcomes)
    assert told["failed_runs"] == [], [outcome.complaints for outcome in outcomes]
    assert told["runs"] == len(outcomes)
    assert isinstance(told["acknowledged"], int)
    assert told["acknowledged"] > 20
