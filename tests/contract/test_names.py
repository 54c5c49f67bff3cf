"""What a server does with names: create, delete, rename, link."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smbfs.engine.how import How
from smbfs.engine.steps import (
    Step,
    link_to,
    query_all,
    rename_to,
    set_basic,
    set_disposition,
)
from smbfs.errors import StatusError
from smbfs.wire.constants import Access, Attributes, CreateAction, Disposition, Options
from smbfs.wire.status import Status
from tests.contract.servers import Bench

WRITE = Access.FILE_WRITE_DATA | Access.FILE_READ_ATTRIBUTES
FILE, DIRECTORY = Options.NON_DIRECTORY_FILE, Options.DIRECTORY_FILE


async def refusal(bench: Bench, path: str, how: How, *steps: Step[Any]) -> Status:
    with pytest.raises(StatusError) as caught:
        await bench.share.on(path, how, *steps)
    return caught.value.status


@pytest.mark.parametrize(
    ("disposition", "exists", "expected"),
    [
        (Disposition.SUPERSEDE, True, CreateAction.SUPERSEDED),
        (Disposition.SUPERSEDE, False, CreateAction.CREATED),
        (Disposition.OPEN, True, CreateAction.OPENED),
        (Disposition.OPEN, False, Status.OBJECT_NAME_NOT_FOUND),
        (Disposition.CREATE, True, Status.OBJECT_NAME_COLLISION),
        (Disposition.CREATE, False, CreateAction.CREATED),
        (Disposition.OPEN_IF, True, CreateAction.OPENED),
        (Disposition.OPEN_IF, False, CreateAction.CREATED),
        (Disposition.OVERWRITE, True, CreateAction.OVERWRITTEN),
        (Disposition.OVERWRITE, False, Status.OBJECT_NAME_NOT_FOUND),
        (Disposition.OVERWRITE_IF, True, CreateAction.OVERWRITTEN),
        (Disposition.OVERWRITE_IF, False, CreateAction.CREATED),
    ],
)
async def test_dispositions(bench: Bench, disposition: int, exists: bool, expected: int) -> None:
    if exists:
        bench.place.put("file", b"old")
    how = How(WRITE, disposition, FILE)
    if isinstance(expected, Status):
        assert await refusal(bench, "file", how) == expected
        return
    handle, _ = await bench.share.open("file", how)
    await handle.close()
    # Samba says OVERWRITTEN of what it superseded.
    assert handle.action in (expected, expected or CreateAction.OVERWRITTEN)
    is_kept = expected == CreateAction.OPENED and exists
    assert bench.place.read("file") == (b"old" if is_kept else b"")


@pytest.mark.parametrize(
    ("path", "how", "status"),
    [
        ("dir", How(WRITE, options=FILE), Status.FILE_IS_A_DIRECTORY),
        ("file", How(Access.FILE_READ_DATA, options=DIRECTORY), Status.NOT_A_DIRECTORY),
        ("dir", How(WRITE, Disposition.CREATE, DIRECTORY), Status.OBJECT_NAME_COLLISION),
        ("file", How(WRITE, Disposition.CREATE, DIRECTORY), Status.OBJECT_NAME_COLLISION),
        ("dir", How(WRITE, Disposition.OVERWRITE_IF, FILE), Status.FILE_IS_A_DIRECTORY),
        ("none\\file", How.looking(), Status.OBJECT_PATH_NOT_FOUND),
        ("none\\file", How(WRITE, Disposition.CREATE, FILE), Status.OBJECT_PATH_NOT_FOUND),
        ("file\\below", How.looking(), Status.OBJECT_PATH_NOT_FOUND),
        ("a*b", How(WRITE, Disposition.CREATE, FILE), Status.OBJECT_NAME_INVALID),
        ("a?b", How(WRITE, Disposition.CREATE, FILE), Status.OBJECT_NAME_INVALID),
        ("file", replace(How.deleting(), access=WRITE, options=0x1000), Status.INVALID_PARAMETER),
    ],
)
async def test_refusals(bench: Bench, path: str, how: How, status: Status) -> None:
    bench.place.put("file", b"old")
    bench.place.put("dir/inside", b"old")
    assert await refusal(bench, path, how) == status


async def test_names_differ_by_more_than_case(bench: Bench) -> None:
    bench.place.put("File", b"old")
    [information] = await bench.share.on("fILE", How.reading())
    assert information.end_of_file == 3


async def test_a_directory_is_made_and_removed(bench: Bench) -> None:
    await bench.share.on("new", How.making_directory())
    assert bench.place.names() == ["new"]
    [opened, information] = await bench.share.on("new", How.looking(), query_all())
    assert opened.is_directory
    assert information.is_directory
    await bench.share.on("new", How.deleting(directory=True), set_disposition(True))
    assert bench.place.names() == []


async def test_a_full_directory_is_not_removed(bench: Bench) -> None:
    bench.place.put("dir/inside")
    how = How.deleting(directory=True)
    assert await refusal(bench, "dir", how, set_disposition(True)) == Status.DIRECTORY_NOT_EMPTY
    assert bench.place.names("dir") == ["inside"]


async def test_a_read_only_file_is_not_deleted(bench: Bench) -> None:
    bench.place.put("file")
    await bench.share.on("file", How.changing(), set_basic(attributes=Attributes.READONLY))
    assert (
        await refusal(bench, "file", How.deleting(), set_disposition(True)) == Status.CANNOT_DELETE
    )
    assert await refusal(bench, "file", How.writing()) == Status.ACCESS_DENIED
    await bench.share.on("file", How.changing(), set_basic(attributes=Attributes.NORMAL))
    await bench.share.on("file", How.deleting(), set_disposition(True))
    assert bench.place.names() == []


async def test_what_is_open_stays_until_it_is_closed(bench: Bench) -> None:
    bench.place.put("file", b"music")
    handle, _ = await bench.share.open("file", How.reading())
    await bench.share.on("file", How.deleting(), set_disposition(True))
    assert await refusal(bench, "file", How.looking()) == Status.DELETE_PENDING
    assert b"".join(await handle.read(0, 9)) == b"music"
    await handle.close()
    assert await refusal(bench, "file", How.looking()) == Status.OBJECT_NAME_NOT_FOUND


async def test_a_deletion_can_be_taken_back(bench: Bench) -> None:
    bench.place.put("file", b"music")
    await bench.share.on("file", How.deleting(), set_disposition(True), set_disposition(False))
    assert bench.place.names() == ["file"]


async def test_delete_on_close(bench: Bench) -> None:
    bench.place.put("file", b"music")
    how = replace(How.deleting(), options=Options.DELETE_ON_CLOSE)
    await bench.share.on("file", how)
    assert bench.place.names() == []


@pytest.mark.parametrize("replaces", [True, False])
async def test_rename(bench: Bench, replaces: bool) -> None:
    bench.place.put("a", b"music")
    bench.place.mkdir("dir")
    await bench.share.on("a", How.renaming(), rename_to("dir\\b", replaces))
    assert bench.place.names() == ["dir"]
    assert bench.place.read("dir/b") == b"music"


async def test_rename_to_what_is_there(bench: Bench) -> None:
    bench.place.put("a", b"new")
    bench.place.put("b", b"old")
    status = await refusal(bench, "a", How.renaming(), rename_to("b", False))
    assert status == Status.OBJECT_NAME_COLLISION
    await bench.share.on("a", How.renaming(), rename_to("b", True))
    assert bench.place.names() == ["b"]
    assert bench.place.read("b") == b"new"


async def test_rename_over_what_is_open(bench: Bench) -> None:
    bench.place.put("a", b"new")
    bench.place.put("b", b"old")
    handle, _ = await bench.share.open("b", How.reading())
    assert await refusal(bench, "a", How.renaming(), rename_to("b", True)) == Status.ACCESS_DENIED
    await handle.close()
    assert bench.place.read("b") == b"old"


async def test_rename_of_what_is_open(bench: Bench) -> None:
    bench.place.put("a", b"music")
    handle, _ = await bench.share.open("a", How.reading())
    await bench.share.on("a", How.renaming(), rename_to("b", False))
    assert b"".join(await handle.read(0, 9)) == b"music"
    await handle.close()
    assert bench.place.names() == ["b"]


async def test_rename_into_nowhere(bench: Bench) -> None:
    bench.place.put("a")
    status = await refusal(bench, "a", How.renaming(), rename_to("none\\b", False))
    assert status == Status.OBJECT_PATH_NOT_FOUND


async def test_rename_of_a_directory(bench: Bench) -> None:
    bench.place.put("dir/inside", b"music")
    await bench.share.on("dir", How.renaming(), rename_to("other", False))
    assert bench.place.names() == ["other"]
    assert bench.place.read("other/inside") == b"music"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("full", "empty", None),
        ("empty", "full", Status.DIRECTORY_NOT_EMPTY),
        ("file", "empty", Status.OBJECT_NAME_COLLISION),
        ("file", "full", Status.OBJECT_NAME_COLLISION),
        ("empty", "file", Status.OBJECT_NAME_COLLISION),
        ("full", "full\\below", Status.SHARING_VIOLATION),
    ],
)
async def test_rename_of_directories(
    bench: Bench, old: str, new: str, status: Status | None
) -> None:
    bench.place.put("full/inside", b"music")
    bench.place.mkdir("empty")
    bench.place.put("file")
    if status is not None:
        assert await refusal(bench, old, How.renaming(), rename_to(new, True)) == status
        return
    await bench.share.on(old, How.renaming(), rename_to(new, True))
    assert bench.place.names() == [new, "file"]
    assert bench.place.names(new) == ["inside"]


async def test_rename_of_a_directory_with_a_file_open_in_it(bench: Bench) -> None:
    bench.place.put("dir/inside", b"music")
    handle, _ = await bench.share.open("dir\\inside", How.reading())
    status = await refusal(bench, "dir", How.renaming(), rename_to("other", False))
    assert status == Status.ACCESS_DENIED
    await handle.close()


async def test_a_hidden_file_is_overwritten_only_as_such(bench: Bench) -> None:
    bench.place.put("file", b"music")
    await bench.share.on("file", How.changing(), set_basic(attributes=Attributes.HIDDEN))
    how = How(WRITE, Disposition.OVERWRITE_IF, FILE)
    assert await refusal(bench, "file", how) == Status.ACCESS_DENIED
    await bench.share.on("file", replace(how, attributes=Attributes.HIDDEN))
    assert bench.place.read("file") == b""


async def test_rename_with_another_case(bench: Bench) -> None:
    bench.place.put("name", b"music")
    await bench.share.on("name", How.renaming(), rename_to("NAME", False))
    assert bench.place.names() == ["NAME"]


async def test_hard_links(bench: Bench) -> None:
    bench.place.put("a", b"music")
    await bench.share.on("a", How.looking(), link_to("b", False))
    [_, one] = await bench.share.on("a", How.looking(), query_all())
    [_, other] = await bench.share.on("b", How.looking(), query_all())
    assert one.links == other.links == 2
    assert one.file_id == other.file_id != 0
    await bench.share.on("a", How.deleting(), set_disposition(True))
    assert bench.place.names() == ["b"]
    assert bench.place.read("b") == b"music"


async def test_a_link_to_what_is_there(bench: Bench) -> None:
    bench.place.put("a")
    bench.place.put("b")
    status = await refusal(bench, "a", How.looking(), link_to("b", False))
    assert status == Status.OBJECT_NAME_COLLISION
