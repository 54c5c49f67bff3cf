"""What is known of a node, for how long, and who holds it."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smbfs.engine.information import Information
from smbfs.fuse.server import Node
from smbfs.vfs.inode import Grave, Inode, Moment
from smbfs.wire.constants import Attributes
from tests.vfs.tables import FakeFile, FakeHandle, Table, fails


@pytest.fixture
def table() -> Table:
    return Table()


# What is believed


def test_an_answer_older_than_our_change_is_not_believed(table: Table) -> None:
    inode = table.see("a", file_id=5, end_of_file=1)
    asked = table.moment(50)
    table.changed(inode)
    table.learn(inode, Information(end_of_file=2), None, asked)
    assert inode.information.end_of_file == 1
    table.learn(inode, Information(end_of_file=3), None, table.moment(51))
    assert inode.information.end_of_file == 3
    table.learn(inode, Information(end_of_file=4), None, Moment(49, 99))
    assert inode.information.end_of_file == 3


def test_a_listing_is_not_believed_about_an_open_file(table: Table) -> None:
    inode = table.see("a", file_id=5, end_of_file=1)
    table.opened(inode)
    listed = Information(file_id=5, end_of_file=0)
    again = table.place(table.root, b"a", listed, None, table.moment(99), is_listed=True)
    assert again is inode
    assert inode.information.end_of_file == 1
    assert inode.places  # but the name is there


def test_cached_bytes_are_dropped_when_somebody_changed_the_file(table: Table) -> None:
    inode = table.see("a", file_id=5, end_of_file=1)
    inode.file = file = FakeFile()
    table.see("a", file_id=5, end_of_file=1)
    assert file.losses == 0
    table.see("a", file_id=5, end_of_file=2)
    assert file.losses == 1
    table.changed(inode)  # and not when we did it
    table.see("a", file_id=5, end_of_file=3)
    assert file.losses == 1


def test_unsent_bytes_count(table: Table) -> None:
    inode = table.see("a", file_id=5, end_of_file=1)
    assert inode.current().end_of_file == 1
    inode.file = file = FakeFile()
    file.unsent = 4
    assert inode.current().end_of_file == 5


def test_which_handle_is_lent(table: Table) -> None:
    inode, grave = table.see("a", file_id=5), FakeHandle()
    assert inode.lend() is None
    inode.grave = Grave(grave, table.root, "silly")
    assert inode.lend() is grave
    inode.file = FakeFile(FakeHandle())
    assert inode.lend() is inode.file.handle
    assert inode.lend(for_links=True) is grave
    grave.is_known = False
    assert inode.lend(for_links=True) is inode.file.handle
    inode.file = None
    assert inode.lend() is None


# Our own changes


def test_a_rename(table: Table) -> None:
    table.directory("d", 2)
    inode, over = table.see("a", file_id=5, links=1), table.see("d/b", file_id=6, links=1)
    directory = table.root.children[b"d"].inode
    table.move(table.root, b"a", directory, b"b", table.moment(99))
    assert table.path(inode) == "d\\b"
    assert over.is_unlinked
    assert b"a" not in table.root.children


def test_a_rename_in_case_only(table: Table) -> None:
    inode = table.see("a", file_id=5, links=1)
    table.see("A", file_id=5, links=1)
    table.move(table.root, b"a", table.root, b"A", table.moment(99))
    assert list(inode.places.values()) == ["A"]
    assert not inode.is_unlinked


def test_a_rename_of_what_we_do_not_know(table: Table) -> None:
    over = table.see("b", file_id=6)
    table.move(table.root, b"a", table.root, b"b", table.moment(99))
    assert over.is_unlinked
    assert not table.root.children


def test_names_that_go_while_a_directory_is_read_are_noted(table: Table) -> None:
    table.see("a", file_id=5)
    table.remove(table.root, b"a")
    assert not table.root.gone
    table.opened(table.root)
    table.see("a", file_id=5)
    table.see("b", file_id=6)
    asked = table.moment(99)
    table.remove(table.root, b"a")
    table.move(table.root, b"b", table.root, b"c", asked)
    assert table.root.gone.keys() == {b"a", b"b"}
    assert min(table.root.gone.values()) > asked.tick
    table.closed(table.root)
    assert not table.root.gone


def test_removing_what_is_not_known(table: Table) -> None:
    assert table.remove(table.root, b"a") is None


def test_a_grave_is_closed_with_the_last_handle(table: Table) -> None:
    inode, handle = table.see("a", file_id=5), FakeHandle()
    table.opened(inode)
    table.opened(inode)
    inode.grave = Grave(handle, table.root, "silly")
    table.graves.add(inode)
    table.closed(inode)
    assert handle.closed == 0
    table.closed(inode)
    assert handle.closed == 1
    assert not table.graves


# What is held


def test_a_directory_lives_as_long_as_what_is_in_it(table: Table) -> None:
    directory = table.directory("d", 2)
    inode = table.see("d/a", file_id=5)
    for one in (directory, inode):
        table.looked_up(one)
    table.forget(directory.node, 1)
    assert table.path(inode) == "d\\a"
    table.forget(inode.node, 1)
    assert len(table) == 1


def test_a_node_that_the_kernel_did_not_take(table: Table) -> None:
    inode = table.see("a", file_id=5)
    table.hold(inode)
    table.let_go(inode)
    assert len(table) == 1
    table.looked_up(inode := table.see("a", file_id=5))
    table.hold(inode)
    table.let_go(inode)
    assert table.get(inode.node) is inode


def test_a_dropped_node_leaves_its_number_to_the_next(table: Table) -> None:
    old = table.see("a", file_id=5)
    table.forget(old.node, 0)
    new = table.see("b", file_id=5)
    table.hold(old)
    table.let_go(old)
    assert table.get(new.node) is new


@pytest.mark.logs("node 5 was forgotten more often than looked up")
def test_forgetting_too_often(table: Table) -> None:
    inode = table.see("a", file_id=5)
    table.looked_up(inode)
    table.forget(inode.node, 2)
    assert len(table) == 1


@pytest.mark.logs("node 6 was forgotten more often than looked up")
def test_forgetting_the_unknown(table: Table) -> None:
    table.forget(Node(6), 1)


def test_paths_are_mapped_and_checked(table: Table) -> None:
    table.directory("d:", 2)
    directory = table.root.children[b"d:"].inode
    assert table.path_of(directory, b"x.") == "d\uf022\\x\uf029"
    assert table.path_of(table.root, b"y") == "y"
    with fails(errno.ENAMETOOLONG):
        table.path_of(directory, b"x" * 256)


class Kernel(RuleBasedStateMachine):
    """Any order of lookups, forgets, opens, moves and removals by us and by others."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.lookups: dict[Node, tuple[Inode, int]] = {}
        self.open: list[Inode] = []

    names = st.sampled_from(["a", "A", "b", "c"])

    @rule(name=names, file_id=st.integers(0, 6), links=st.integers(0, 2), born=st.integers(0, 2))
    def lookup(self, name: str, file_id: int, links: int, born: int) -> None:
        inode = self.table.see(name, file_id=file_id, links=links, creation_time=born)
        self._count(inode)

    @rule(name=names, file_id=st.integers(0, 6), ask_s=st.sampled_from([0.0, 5.0]))
    def lookup_directory(self, name: str, file_id: int, ask_s: float) -> None:
        self._count(self.table.directory(name, file_id, ask_s=ask_s))

    def _count(self, inode: Inode) -> None:
        self.table.looked_up(inode)
        _, lookups = self.lookups.get(inode.node, (inode, 0))
        self.lookups[inode.node] = inode, lookups + 1

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        if self.lookups:
            node = data.draw(st.sampled_from(sorted(self.lookups)))
            _, lookups = self.lookups.pop(node)
            self.table.forget(node, lookups)

    @rule(data=st.data())
    def open_or_close(self, data: st.DataObject) -> None:
        if self.open and data.draw(st.sampled_from([True, False])):
            self.table.closed(self.open.pop())
        elif self.lookups:
            inode, _ = self.lookups[data.draw(st.sampled_from(sorted(self.lookups)))]
            self.table.opened(inode)
            self.open.append(inode)

    @rule(name=names)
    def remove(self, name: str) -> None:
        inode = self.table.remove(self.table.root, name.encode())
        if inode is not None:
            self.table.unlinked(inode)

    @rule(name=names, new=names)
    def move(self, name: str, new: str) -> None:
        root = self.table.root
        self.table.move(root, name.encode(), root, new.encode(), self.table.moment(0))

    @invariant()
    def what_the_kernel_holds_is_still_the_same(self) -> None:
        for node, (inode, lookups) in self.lookups.items():
            assert self.table.get(node) is inode
            assert inode.lookups == lookups

    @invariant()
    def keys_lead_to_living_nodes(self) -> None:
        for key, inode in self.table._keys.items():
            assert inode.key == key
            assert self.table.get(inode.node) is inode

    @invariant()
    def names_and_places_agree(self) -> None:
        for name, known in self.table.root.children.items():
            assert (self.table.root, name) in known.inode.places
        for inode, _ in self.lookups.values():
            for parent, name in inode.places:
                assert parent.children[name].inode is inode


TestKernel = Kernel.TestCase
TestKernel.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=4))
def test_the_path_of_a_path(parts: list[bytes]) -> None:
    table = Table()
    inode = table.root
    for number, part in enumerate(parts, 2):
        told = Information(attributes=Attributes.DIRECTORY, file_id=number)
        inode = table.place(inode, part, told, None, table.moment(0))
    assert table.path(inode) == "\\".join(part.decode() for part in parts)
    assert inode.is_below(table.root)
