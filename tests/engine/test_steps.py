"""Each step: what it asks, how it reads the answer, and that it believes no length."""

from __future__ import annotations

from typing import Any

import pytest

from smbfs.engine import steps
from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.information import Information
from smbfs.engine.steps import Listing, Step, Where, joined
from smbfs.wire import file_messages as files
from smbfs.wire import fscc
from smbfs.wire import query_messages as queries
from smbfs.wire.codec import WireError
from smbfs.wire.constants import Fsctl, InfoType
from smbfs.wire.directory import FileIdFullDirectoryInformation, pack_entries
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from smbfs.wire.units import utf16
from tests.engine.scripted import FILE_ID, entry, everything, page, reply_of

UNSAFE: list[str] = []


@pytest.fixture
def where() -> Where:
    UNSAFE.clear()
    return Where(FILE_ID, "sub", Listing(FileIdFullDirectoryInformation, 1 << 20), UNSAFE.append)


def asked(step: Step[Any], where: Where) -> Ask:
    ask = step.ask(where)
    assert getattr(ask.body, "file_id") == FILE_ID  # noqa: B009  # bodies have no common type
    return ask


def queried(buffer: bytes) -> Reply:
    return reply_of(Command.QUERY_INFO, queries.QueryInfoResponse(output_buffer=buffer))


@pytest.mark.parametrize(
    ("prefix", "path", "whole"),
    [("", "", ""), ("sub", "", "sub"), ("", "a\\b", "a\\b"), ("sub", "a", "sub\\a")],
)
def test_paths_are_joined(prefix: str, path: str, whole: str) -> None:
    assert joined(prefix, path) == whole


# Queries


@pytest.mark.parametrize(
    ("step", "kind", "number"),
    [
        (steps.query_all(), InfoType.FILE, 18),
        (steps.query_tag(), InfoType.FILE, 35),
        (steps.query_eas(), InfoType.FILE, 15),
        (steps.query_volume(), InfoType.FILESYSTEM, 1),
        (steps.query_attributes_fs(), InfoType.FILESYSTEM, 5),
        (steps.query_space(), InfoType.FILESYSTEM, 7),
    ],
)
def test_a_query_names_its_class(step: Step[Any], kind: int, number: int, where: Where) -> None:
    ask = asked(step, where)
    assert isinstance(ask.body, queries.QueryInfoRequest)
    assert (ask.body.info_type, ask.body.file_info_class) == (kind, number)
    assert ask.body.output_buffer_length == ask.receives == 65536  # one credit


def test_what_stat_needs(where: Where) -> None:
    information = steps.query_all().result(queried(bytes(everything())), where)
    assert isinstance(information, Information)
    assert (information.file_id, information.links) == (77, 2)


def test_a_tag(where: Where) -> None:
    answer = fscc.FileAttributeTagInformation(file_attributes=0x400, reparse_tag=0xA000000C)
    assert steps.query_tag().result(queried(bytes(answer)), where) == 0xA000000C


def test_the_filesystem(where: Where) -> None:
    space = fscc.FileFsFullSizeInformation(
        total_allocation_units=9,
        caller_available_allocation_units=5,
        actual_available_allocation_units=6,
        sectors_per_allocation_unit=8,
        bytes_per_sector=512,
    )
    assert steps.query_space().result(queried(bytes(space)), where) == space
    volume = fscc.FileFsVolumeInformation(
        volume_creation_time=0, volume_serial_number=3, volume_label=utf16("a")
    )
    assert steps.query_volume().result(queried(bytes(volume)), where).volume_serial_number == 3
    able = fscc.FileFsAttributeInformation(
        file_system_attributes=1,
        maximum_component_name_length=255,
        file_system_name=utf16("NTFS"),
    )
    answer = steps.query_attributes_fs().result(queried(bytes(able)), where)
    assert answer.file_system_attributes == 1


def test_more_than_was_asked_is_a_lie(where: Where) -> None:
    with pytest.raises(WireError):
        steps.query_all().result(queried(bytes(70000)), where)


def test_extended_attributes(where: Where) -> None:
    step = steps.query_eas(1 << 20)
    assert asked(step, where).receives == 1 << 20
    reply = queried(fscc.pack_eas([(b"A", b"1"), (b"B", b"")]))
    assert step.result(reply, where) == [(b"A", b"1"), (b"B", b"")]


@pytest.mark.parametrize("status", [Status.NO_EAS_ON_FILE, Status.NO_MORE_EAS])
def test_no_extended_attributes_is_an_answer(status: Status, where: Where) -> None:
    step = steps.query_eas()
    assert status in asked(step, where).answers
    assert step.result(reply_of(Command.QUERY_INFO, status), where) == []


def test_half_the_extended_attributes_is_none(where: Where) -> None:
    assert Status.BUFFER_OVERFLOW not in asked(steps.query_eas(), where).answers
    assert Status.BUFFER_OVERFLOW in asked(steps.query_all(), where).answers


# Changes


@pytest.mark.parametrize(
    ("step", "number", "data"),
    [
        (
            steps.set_basic(creation=1, access=2, write=3, change=4, attributes=5),
            4,
            b"".join(n.to_bytes(8, "little") for n in (1, 2, 3, 4, 5)),
        ),
        (steps.set_end_of_file(2**40), 20, (2**40).to_bytes(8, "little")),
        (steps.set_disposition(True), 13, b"\1"),
        (steps.set_disposition(False), 13, b"\0"),
        (
            steps.rename_to("new name", True),
            10,
            b"\1" + bytes(15) + b"\x18\0\0\0" + utf16("sub\\new name"),
        ),
        (
            steps.link_to("n", False),
            11,
            b"\0" + bytes(15) + b"\x0a\0\0\0" + utf16("sub\\n"),
        ),
        (steps.set_eas([(b"A", b"1")]), 15, fscc.pack_eas([(b"A", b"1")])),
    ],
)
def test_a_change_sends_its_class(step: Step[None], number: int, data: bytes, where: Where) -> None:
    ask = asked(step, where)
    assert isinstance(ask.body, queries.SetInfoRequest)
    assert (ask.body.info_type, ask.body.file_info_class) == (InfoType.FILE, number)
    assert bytes(ask.body.buffer) == data
    reply = reply_of(Command.SET_INFO, queries.SetInfoResponse())
    step.result(reply, where)


def test_a_short_name_makes_a_buffer_windows_takes(where: Where) -> None:
    bare = Where(FILE_ID, "", where.listing, UNSAFE.append)
    body = asked(steps.rename_to("a", False), bare).body
    assert isinstance(body, queries.SetInfoRequest)
    assert len(body.buffer) == 24


# Data


def test_a_read(where: Where) -> None:
    step = steps.read(5, 10)
    ask = asked(step, where)
    assert isinstance(ask.body, files.ReadRequest)
    assert (ask.body.offset, ask.body.length, ask.receives) == (5, 10, 10)
    reply = reply_of(Command.READ, files.ReadResponse(data=b"abc"))
    assert bytes(step.result(reply, where)) == b"abc"


def test_the_end_of_the_file_is_an_answer(where: Where) -> None:
    step = steps.read(5, 10)
    assert Status.END_OF_FILE in asked(step, where).answers
    assert len(step.result(reply_of(Command.READ, Status.END_OF_FILE), where)) == 0


def test_a_read_of_more_than_was_asked_is_a_lie(where: Where) -> None:
    with pytest.raises(WireError):
        steps.read(0, 2).result(reply_of(Command.READ, files.ReadResponse(data=b"abc")), where)


@pytest.mark.parametrize("data", [b"abcd", memoryview(b"abcd"), [b"abcd"], [b"ab", b"cd"]])
def test_a_write(data: Any, where: Where) -> None:
    step = steps.write(7, data)
    ask = asked(step, where)
    assert isinstance(ask.body, files.WriteRequest)
    assert (ask.body.offset, bytes(ask.body.data)) == (7, b"abcd")
    assert step.result(reply_of(Command.WRITE, files.WriteResponse(count=3)), where) == 3
    with pytest.raises(WireError):
        step.result(reply_of(Command.WRITE, files.WriteResponse(count=5)), where)


def test_a_flush(where: Where) -> None:
    assert asked(steps.flush(), where).command == Command.FLUSH


# Control codes


def control(output: bytes) -> Reply:
    answer = files.IoctlResponse(ctl_code=1, file_id=FILE_ID, output=output)
    return reply_of(Command.IOCTL, answer)


def test_a_control_code(where: Where) -> None:
    step = steps.ioctl(0x1234, b"in", 8)
    ask = asked(step, where)
    assert isinstance(ask.body, files.IoctlRequest)
    assert (ask.body.ctl_code, bytes(ask.body.input)) == (0x1234, b"in")
    assert ask.body.max_output_response == ask.receives == 8
    assert Status.BUFFER_OVERFLOW in ask.answers
    assert step.result(control(b"output"), where) == b"output"
    with pytest.raises(WireError):
        step.result(control(b"too much output"), where)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (steps.get_reparse(), Fsctl.GET_REPARSE_POINT),
        (steps.set_reparse(b"x"), Fsctl.SET_REPARSE_POINT),
    ],
)
def test_reparse_points_are_whole(step: Step[Any], code: int, where: Where) -> None:
    ask = asked(step, where)
    assert isinstance(ask.body, files.IoctlRequest)
    assert ask.body.ctl_code == code
    assert ask.answers == {Status.SUCCESS}


# Directories


def test_a_listing_asks_as_the_server_likes_it(where: Where) -> None:
    ask = asked(steps.list_directory("*", 2**21), where)
    assert isinstance(ask.body, queries.QueryDirectoryRequest)
    assert ask.body.file_information_class == 38
    assert ask.body.output_buffer_length == ask.receives == 1 << 20
    assert (ask.body.flags, bytes(ask.body.file_name)) == (0, utf16("*"))
    ask = asked(steps.list_directory("a*", 4096, restart=True), where)
    assert isinstance(ask.body, queries.QueryDirectoryRequest)
    assert (ask.body.output_buffer_length, ask.body.flags) == (4096, 1)


def test_a_page_without_what_no_client_may_believe(where: Where) -> None:
    names = [".", "..", "good", "a/b", "a\\b", "a\0b", "", "also good"]
    reply = reply_of(Command.QUERY_DIRECTORY, page(*names))
    listed = steps.list_directory("*", 4096).result(reply, where)
    assert listed is not None
    assert [one.name for one in listed] == ["good", "also good"]
    assert listed[0].information.file_id == 7
    assert UNSAFE == ["a/b", "a\\b", "a\0b", ""]


@pytest.mark.parametrize("status", [Status.NO_MORE_FILES, Status.NO_SUCH_FILE])
def test_the_end_of_a_listing_is_an_answer(status: Status, where: Where) -> None:
    step = steps.list_directory("*", 4096)
    assert status in asked(step, where).answers
    assert step.result(reply_of(Command.QUERY_DIRECTORY, status), where) is None


@pytest.mark.parametrize(
    "buffer", [b"", bytes(5000), b"\1\2\3", pack_entries([entry("a")])[:-1]], ids=len
)
def test_a_listing_that_lies(buffer: bytes, where: Where) -> None:
    reply = reply_of(Command.QUERY_DIRECTORY, queries.QueryDirectoryResponse(output_buffer=buffer))
    with pytest.raises(WireError):
        steps.list_directory("*", 4096).result(reply, where)


def test_a_name_of_half_a_character(where: Where) -> None:
    reply = reply_of(
        Command.QUERY_DIRECTORY,
        queries.QueryDirectoryResponse(output_buffer=pack_entries([entry("a", file_name=b"abc")])),
    )
    with pytest.raises(WireError):
        steps.list_directory("*", 4096).result(reply, where)
