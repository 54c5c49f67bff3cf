"""Node numbers and places: which file is which."""

import errno
import stat

import pytest

from smbfs.engine.information import Information
from smbfs.fuse.server import ROOT, Node
from smbfs.vfs.inode import Grave
from smbfs.vfs.inodes import MADE_UP
from smbfs.vfs.special import Special
from tests.vfs.tables import FakeFile, FakeHandle, Table, fails


@pytest.fixture
def table() -> Table:
    return Table()


# Numbers


def test_the_number_is_the_servers_id(table: Table) -> None:
    assert table.see("a", file_id=77).node == 77


@pytest.mark.parametrize("file_id", [0, 1])
def test_a_useless_id_is_replaced_by_a_number_of_our_own(table: Table, file_id: int) -> None:
    first, second = table.see("a", file_id=file_id), table.see("b")
    assert first.node & MADE_UP
    assert first.node not in (second.node, ROOT)
    assert table.see("a", file_id=file_id) is first


def test_numbers_stay_while_the_mount_lives(table: Table) -> None:
    numbers = []
    for _ in range(2):
        for name, file_id in (("a", 0), ("b", 5)):
            inode = table.see(name, file_id=file_id)
            numbers.append(inode.node)
            table.looked_up(inode)
            table.forget(inode.node, 1)
        assert len(table) == 1
    assert numbers[:2] == numbers[2:]


def test_a_made_up_number_that_is_taken_gives_the_next(table: Table) -> None:
    wanted = table.see("a").node
    table.forget(wanted, 0)
    other = Table()
    other.see("b", file_id=wanted)
    assert other.see("a").node == wanted + 1 | MADE_UP


def test_a_number_given_in_place_of_an_id_is_remembered(table: Table) -> None:
    old = table.see("a", file_id=5, creation_time=1)
    table.looked_up(old)
    table.remove(table.root, b"a")
    table.unlinked(old)
    new = table.see("a", file_id=5, creation_time=2).node
    assert new != 5
    table.forget(old.node, 1)
    table.forget(new, 0)
    assert len(table) == 1
    assert table.see("b", file_id=5, creation_time=2).node == new
    assert table.see("c", file_id=5, creation_time=3, change_time=1).node == new  # recycled, closed


def test_not_all_such_numbers_are_remembered(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smbfs.vfs.inodes.REPLACED", 1)
    table.see("a", file_id=5)
    first = table.directory("b", 5).node
    table.looked_up(table.see("c", file_id=6))
    table.directory("d", 6)
    table.forget(first, 0)
    assert len(table._replaced) == 1


def test_an_unknown_number_is_stale(table: Table) -> None:
    with fails(errno.ESTALE):
        table.get(Node(9))
    assert table.get(ROOT) is table.root


# One object, several names


def test_hard_links_share_a_node(table: Table) -> None:
    first = table.see("a", file_id=5, links=2)
    assert table.see("b", file_id=5, links=2) is first
    table.looked_up(first)
    assert first.links == 2
    assert table.path(first) == "b"  # the one that was seen last
    table.remove(table.root, b"b")
    assert table.path(first) == "a"


def test_links_that_nobody_counted_are_those_we_know(table: Table) -> None:
    first = table.see("a", file_id=5)
    assert first.links == 1
    table.see("b", file_id=5)
    assert first.links == 2


def test_what_another_client_moved_keeps_its_node(table: Table) -> None:
    inode = table.see("a", file_id=5, links=1)
    assert table.see("b", file_id=5, links=1) is inode
    assert list(inode.places.values()) == ["b"]
    assert b"a" not in table.root.children


def test_the_count_of_links_is_kept_when_a_listing_does_not_tell(table: Table) -> None:
    inode = table.see("a", file_id=5, links=3)
    table.see("a", file_id=5, end_of_file=9)
    assert inode.links == 3
    assert inode.information.end_of_file == 9


def test_spellings_of_one_name_go_together(table: Table) -> None:
    inode = table.see("Mai", file_id=5, links=1)
    assert table.see("MAI", file_id=5, links=1) is inode
    assert len(inode.places) == 2
    assert inode.links == 1
    inode.information.links = 0
    assert inode.links == 1
    assert table.remove(table.root, b"Mai") is inode
    assert not inode.places


def test_hard_links_that_differ_in_case_do_not_go_together(table: Table) -> None:
    inode = table.see("a", file_id=5, links=2)
    table.looked_up(table.see("A", file_id=5, links=2))
    table.remove(table.root, b"a")
    assert table.path(inode) == "A"


# Directories


def test_a_directory_that_moved(table: Table) -> None:
    table.directory("x", 2)
    inode = table.directory("a", 5)
    assert table.directory("x/b", 5) is inode
    assert table.path(inode) == "x\\b"


def test_a_directory_under_two_names_is_two_nodes(table: Table) -> None:
    inode = table.directory("a", 5)
    other = table.directory("b", 5, ask_s=0.5)
    assert other is not inode
    assert table.directory("b", 5) is other
    assert table.directory("a", 5) is inode


def test_a_directory_inside_itself_is_another_node(table: Table) -> None:
    inode = table.directory("a", 5)
    loop = table.directory("a/loop", 5)
    again = table.directory("a/loop/loop", 5)
    assert len({inode.node, loop.node, again.node}) == 3
    assert table.path(again) == "a\\loop\\loop"


def test_a_directory_that_lost_its_place_is_found_again(table: Table) -> None:
    inode = table.directory("a", 5)
    table.looked_up(inode)
    table.remove(table.root, b"a")
    with fails(errno.ESTALE):
        table.path(inode)
    assert table.directory("b", 5) is inode


# Ids that change or come back


def test_a_file_that_was_replaced_is_another_one(table: Table) -> None:
    old = table.see("a", file_id=5, creation_time=1)
    table.looked_up(old)
    new = table.see("a", file_id=6, creation_time=2)
    assert new is not old
    assert not old.places


def test_an_id_that_changes_alone_is_a_bad_id(table: Table) -> None:
    told = {"creation_time": 1, "change_time": 2, "end_of_file": 3}
    inode = table.see("a", file_id=5, **told)
    assert table.see("a", file_id=6, **told) is inode
    assert table.see("b", file_id=6, **told) is inode  # found by the new one from now on
    assert table.see("c", file_id=5, **told) is not inode


def test_an_id_taken_over_from_another_node_is_given_back(table: Table) -> None:
    first, second = table.directory("a", 5), table.directory("b", 6)
    assert table.directory("a", 6, ask_s=0) is first
    for inode in (first, second):
        table.forget(inode.node, 0)
    again = table.directory("a", 5)
    assert table.get(again.node) is again


def test_without_ids_the_place_tells(table: Table) -> None:
    inode = table.see("a", creation_time=1)
    assert table.see("a", creation_time=2) is inode


def test_an_id_that_comes_back_as_another_type(table: Table) -> None:
    inode = table.see("a", file_id=5)
    table.looked_up(inode)
    other = table.directory("a", 5)
    assert other is not inode
    assert other.node & MADE_UP
    assert other.is_directory


def test_a_file_becomes_a_link(table: Table) -> None:
    inode = table.see("a", file_id=5)
    link = Special(stat.S_IFLNK, b"t")
    seen = table.moment(99)
    other = table.place(table.root, b"a", Information(file_id=5), link, seen)
    assert other is not inode
    assert other.special == link


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_recycled_id_of_an_open_file(table: Table, name: str) -> None:
    old = table.see("a", file_id=5, creation_time=1)
    table.opened(old)
    old.file = FakeFile(None)  # opened on a connection that is gone
    assert table.see(name, file_id=5, creation_time=2) is not old
    assert table.see(name, file_id=5, creation_time=1) is not old or name == "b"


def test_an_id_cannot_be_recycled_while_the_server_knows_our_handle(table: Table) -> None:
    old = table.see("a", file_id=5, creation_time=1)
    table.opened(old)
    old.file = FakeFile(FakeHandle())
    assert table.see("b", file_id=5, creation_time=2) is old


def test_an_id_of_a_closed_file_may_be_recycled_unseen(table: Table) -> None:
    old = table.see("a", file_id=5, creation_time=1)
    assert table.see("b", file_id=5, creation_time=2) is old


def test_a_file_that_we_unlinked_is_found_no_more(table: Table) -> None:
    old = table.see("a", file_id=5, links=1)
    table.looked_up(old)
    removed = table.remove(table.root, b"a")
    assert removed is old
    table.unlinked(old)
    assert old.is_unlinked
    assert old.links == 0
    new = table.see("a", file_id=5, links=1)
    assert new is not old
    assert new.node != old.node
    assert table.get(old.node) is old


def test_a_file_without_a_name_gets_one(table: Table) -> None:
    inode, grave = table.see("a", file_id=5, links=1), FakeHandle()
    table.opened(inode)
    inode.grave = Grave(grave, table.root, "silly")
    table.graves.add(inode)
    table.remove(table.root, b"a")
    table.unlinked(inode)
    there = table.see("new", file_id=6)
    named = Information(file_id=5, links=1, end_of_file=9)
    table.revive(inode, table.root, b"new", named, table.moment(table.now_s))
    assert table.path(inode) == "new"
    assert (inode.links, inode.information.end_of_file) == (1, 9)
    assert not there.places
    assert grave.closed
    assert not table.graves
    assert table.see("newer", file_id=5, links=2) is inode


def test_one_of_several_links_is_removed(table: Table) -> None:
    inode = table.see("a", file_id=5, links=2)
    table.looked_up(inode)
    table.remove(table.root, b"a")
    table.unlinked(inode)
    assert not inode.is_unlinked
    assert table.see("b", file_id=5, links=1) is inode


def test_a_directory_that_we_removed_is_gone_whatever_its_count(table: Table) -> None:
    inode = table.directory("a", 5, links=4)
    table.remove(table.root, b"a")
    table.unlinked(inode)
    assert inode.is_unlinked


def test_what_lies_at_the_path_is_adopted(table: Table) -> None:
    inode = table.see("a", file_id=5)
    table.adopt(inode, Information(file_id=6), stat.S_IFREG)
    assert table.see("b", file_id=6) is inode
    with fails(errno.ESTALE):
        table.adopt(inode, Information(), stat.S_IFDIR)
    table.adopt(table.root, Information(file_id=6), stat.S_IFDIR)
    assert table.directory("c", 6) is not table.root
