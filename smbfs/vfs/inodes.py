"""Which file a node number means, what the kernel holds of it, and where the file is now.

* A node's number is the server's file id if that is usable and free, else one made from the place
  where it was found; it means one object for as long as the kernel may hold it.
* A node has a set of places (directory, name): hard links share a node, a directory has one place.
* The server's id finds a file again at another place.  An id that comes back as another type, or
  with another creation time while the old file is open through no handle the server still knows,
  is a recycled one: a new object.  A file unlinked by us is found by no id any more.
* An id that changes while times and size do not is the same object under a bad id: never ESTALE.
* The kernel holds what it looked up and did not forget; we hold what is open or a parent.

Easily broken: an answer may be older than a change of ours made after the question was sent, so
each question takes a `Moment`, and an answer from before the node's last change is not believed.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import stat
from itertools import islice

from smbfs.engine.information import Information, Listed
from smbfs.fuse.server import ROOT, Node
from smbfs.vfs.identity import has_changed, is_another, is_recycled, is_same
from smbfs.vfs.inode import NEVER, Inode, Moment, Name, Raw, folded
from smbfs.vfs.special import Special
from smbfs.vfs.stat import kind_of
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.units import NameMap, to_wire

log = logging.getLogger(__name__)

MADE_UP = 1 << 63  # set in the numbers we make, which keeps them apart from most servers' ids
REPLACED = 65536  # how many objects are remembered that got another number than their id
MOVED_S = 1.0  # a directory seen elsewhere so recently did not move: it has two names


class Inodes:
    """All nodes of one mount."""

    def __init__(self, names: NameMap) -> None:
        self._names = names
        self._tick = 0
        information = Information(attributes=Dos.DIRECTORY)
        self.root = Inode(ROOT, information, stat.S_IFDIR, lookups=1)
        self._nodes: dict[Node, Inode] = {ROOT: self.root}
        self._keys: dict[tuple[int, int], Inode] = {}  # by file id and type
        self._replaced: dict[tuple[int, int, int], Node] = {}  # whose id was taken by another
        self.graves: set[Inode] = set()  # files that were deleted and are still open
        self.relinked: list[Inode] = []  # links that turned out to lead elsewhere now

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, node: Node) -> Inode:
        """The inode of a number the kernel names.  Raises OSError(ESTALE) for an unknown one."""
        if (inode := self._nodes.get(node)) is None:
            raise OSError(errno.ESTALE, f"node {node} is not known")
        return inode

    def moment(self, now_s: float) -> Moment:
        """Mark when a question is sent."""
        return Moment(now_s, self._tick)

    def changed(self, inode: Inode) -> None:
        """Note a change of ours: answers to questions sent before now are not believed."""
        self._tick += 1
        inode.changed = self._tick
        inode.seen = NEVER

    # Places

    def confirmed(self, inode: Inode, path: str, seen: Moment) -> None:
        """Note that the file was opened at this path: its name leads to it."""
        if inode.places and seen.tick >= inode.changed and self.path(inode) == path:
            parent, name = next(reversed(inode.places))
            known = parent.children[name]
            if known.seen.at_s < seen.at_s:
                known.seen = seen

    def doubted(self, inode: Inode) -> None:
        """Note that what the names of a file lead to has to be asked anew."""
        for parent, name in inode.places:
            parent.children[name].seen = NEVER

    def path(self, inode: Inode) -> str:
        """Where the file is, in wire form.  Raises OSError(ESTALE) if it has no name left."""
        parts: list[str] = []
        while inode is not self.root:
            if not inode.places:
                raise OSError(errno.ESTALE, f"node {inode.node} has no name")
            (parent, _), wire = next(reversed(inode.places.items()))
            parts.append(wire)
            inode = parent
        return "\\".join(reversed(parts))

    def path_of(self, parent: Inode, name: bytes) -> str:
        """Where a name in a directory is, in wire form.  Raises OSError for an impossible name."""
        wire, above = to_wire(name, self._names), self.path(parent)
        return f"{above}\\{wire}" if above else wire

    def place(
        self,
        parent: Inode,
        name: bytes,
        information: Information,
        special: Special | None,
        seen: Moment,
        *,
        is_listed: bool = False,
    ) -> Inode:
        """Note that the server showed this file at this name; its inode, known or new.

        What a listing (``is_listed``) says of an open file may lag behind and is not believed.
        """
        kind = kind_of(information, special)
        here = parent.children.get(name)
        inode = here.inode if here and is_same(here.inode, information, kind) else None
        inode = inode or self._known(parent, information, kind, seen)
        if inode is None:
            number = self._number(parent, name, information, kind)
            inode = self._nodes[number] = Inode(number, information, kind)
        if here is not None and here.inode is not inode:
            self._leave(here.inode, parent, name)
        self._rekey(inode, information.file_id, kind)
        if inode.is_directory or information.links == 1:
            for place in [at for at in inode.places if not _is_variant(at, (parent, name))]:
                self._leave(inode, *place)
        self._enter(inode, parent, name, seen)
        if not (is_listed and inode.opens):
            self.learn(inode, information, special, seen)
        return inode

    def learn(
        self, inode: Inode, information: Information, special: Special | None, seen: Moment
    ) -> None:
        """Believe what the server says of a file, unless it may be older than what we know."""
        if seen.tick < inode.changed or seen.at_s < inode.seen.at_s:
            return
        old = inode.information
        counts_deleted = inode.grave is not None and information.links > old.links
        if not information.links or counts_deleted:  # a listing or CREATE, which does not tell,
            information.links = old.links  # or another name of a file with a grave
        if not information.file_id:
            information.file_id = old.file_id
        if inode.file and inode.seen is not NEVER and has_changed(old, information):
            inode.file.lost_belief()
        was_link = inode.special is not None  # and not a node that was made just now
        if inode.kind == stat.S_IFLNK and was_link and inode.special != special:
            self.relinked.append(inode)
        inode.information, inode.special, inode.seen = information, special, seen

    def adopt(self, inode: Inode, information: Information, kind: int) -> None:
        """Take what lies at the node's path for the node.  Raises OSError(ESTALE) for another type.

        A file that was replaced is found by the next lookup; until then a name that leads
        somewhere must not give an error.
        """
        if kind != inode.kind:
            raise OSError(errno.ESTALE, "another type of file is there now")
        if inode is not self.root and not inode.is_unlinked:
            self._rekey(inode, information.file_id, kind)

    def remove(self, parent: Inode, name: bytes) -> Inode | None:
        """Note that a name is gone, by us or by another; the inode it led to."""
        self._gone(parent, name)
        if (known := parent.children.get(name)) is None:
            return None
        self._leave_all(known.inode, parent, name)
        self._reap(known.inode)
        return known.inode

    def _gone(self, parent: Inode, name: bytes) -> None:
        self._tick += 1
        if parent.opens:
            parent.gone[name] = self._tick
        if parent.listed is not None:
            parent.listed.remove(name)

    def unlinked(self, inode: Inode) -> None:
        """Note that we removed a name of this file; one without any other has none for ever."""
        self.changed(inode)
        inode.information.links = max(inode.information.links - 1, 0)
        if inode.places or (inode.information.links and not inode.is_directory):
            return
        inode.is_unlinked = True
        self._unkey(inode)

    def revive(
        self, inode: Inode, parent: Inode, name: bytes, information: Information, seen: Moment
    ) -> None:
        """Note that a file without any name got one; its grave is not needed any more."""
        self.remove(parent, name)
        self._no_grave(inode)
        inode.is_unlinked = False
        inode.information.links = information.links
        self._rekey(inode, information.file_id, inode.kind)
        self.changed(inode)
        seen = self.moment(seen.at_s)
        self._enter(inode, parent, name, seen)
        self.learn(inode, information, inode.special, seen)

    def move(
        self, parent: Inode, name: bytes, new_parent: Inode, new_name: bytes, seen: Moment
    ) -> None:
        """Note that we renamed a file; whatever had the new name has lost it."""
        known = parent.children.get(name)
        over = new_parent.children.get(new_name)
        if over is not None and (known is None or over.inode is not known.inode):
            self.remove(new_parent, new_name)
            self.unlinked(over.inode)
        if known is None:
            return
        self._gone(parent, name)
        self._leave_all(known.inode, parent, name)
        self._enter(known.inode, new_parent, new_name, seen)
        self.changed(known.inode)

    # What the kernel holds

    def looked_up(self, inode: Inode) -> None:
        """Count an entry that the kernel got."""
        inode.lookups += 1

    def forget(self, node: Node, count: int) -> None:
        """Count down what the kernel let go of; never raises."""
        if (inode := self._nodes.get(node)) is None or inode.lookups < count:
            log.warning("node %d was forgotten more often than looked up", node)
        if inode is not None:
            inode.lookups = max(inode.lookups - count, 0)
            self._reap(inode)

    def idle_names(self, count: int) -> list[tuple[Node, bytes]]:
        """Names of closed files that the kernel has held for longest; the next call goes on.

        Looks at no more than ``count`` nodes.
        """
        names: list[tuple[Node, bytes]] = []
        for node in list(islice(self._nodes, count)):
            inode = self._nodes[node] = self._nodes.pop(node)
            if inode.is_idle:
                names += [(parent.node, name) for parent, name in inode.places]
        return names

    def opened(self, inode: Inode) -> None:
        """Count an open file or directory."""
        inode.opens += 1

    def closed(self, inode: Inode) -> None:
        """Count a close; with the last one a file that was deleted meanwhile goes away."""
        inode.opens -= 1
        if inode.opens == 0:
            inode.gone.clear()
            self._no_grave(inode)
        self._reap(inode)

    def _no_grave(self, inode: Inode) -> None:
        if inode.grave is not None:
            inode.grave.handle.close_soon()
            inode.grave = None
            self.graves.discard(inode)

    def hold(self, inode: Inode) -> None:
        """Keep a node that a listing is about to hand out."""
        inode.held += 1

    def let_go(self, inode: Inode) -> None:
        """Undo a `hold`: a node that the kernel did not take is dropped."""
        inode.held -= 1
        self._reap(inode)

    # Inside

    def _known(
        self, parent: Inode, information: Information, kind: int, seen: Moment
    ) -> Inode | None:
        """The file known by this id, if that is the one found here now."""
        known = self._keys.get((information.file_id, kind)) if information.file_id else None
        if known is None or is_recycled(known, information):
            return None
        if is_another(known, information):
            if known.is_directory:  # what was known of its names is not true of this one's
                self._unkey(known)
                return None
            known.information.links = 0
            for place in list(known.places):
                self._leave(known, *place)
        if not known.is_directory or not known.places:
            return known
        # One directory at a second place: it moved, or the server shows it under two names.  The
        # kernel allows a directory one place only, and none beneath itself.
        elsewhere = max(at.children[name].seen.at_s for at, name in known.places)
        if parent.is_below(known) or seen.at_s - elsewhere < MOVED_S:
            return None
        return known

    def _number(self, parent: Inode, name: bytes, information: Information, kind: int) -> Node:
        identity = information.file_id, kind, information.creation_time
        number = self._replaced.get(identity, Node(information.file_id))
        if number > ROOT and number not in self._nodes:
            return number
        place = b"%d/%d/%s" % (parent.node, information.file_id, name)
        digest = hashlib.blake2b(place, digest_size=8).digest()
        number = Node(int.from_bytes(digest, "little") | MADE_UP)
        while number in self._nodes:
            number = Node((number + 1) % (1 << 64) | MADE_UP)
        if information.file_id > ROOT:  # the usable number will be free again, but not for this one
            self._replaced[identity] = number
            if len(self._replaced) > REPLACED:
                del self._replaced[next(iter(self._replaced))]
        return number

    def _enter(self, inode: Inode, parent: Inode, name: bytes, seen: Moment) -> None:
        inode.places.pop((parent, name), None)
        inode.places[parent, name] = to_wire(name, self._names)
        parent.children[name] = Name(inode, seen)
        if parent.listed is not None and name not in parent.listed.entries:
            wire = inode.places[parent, name]
            parent.listed.add(Raw(name, Listed(wire, inode.information), seen))

    def _leave(self, inode: Inode, parent: Inode, name: bytes) -> None:
        del inode.places[parent, name], parent.children[name]

    def _leave_all(self, inode: Inode, parent: Inode, name: bytes) -> None:
        """Leave a name, and the other spellings of it that a case-blind server answered to."""
        for place in list(inode.places):
            if place == (parent, name) or (
                inode.information.links <= 1 and _is_variant(place, (parent, name))
            ):
                self._leave(inode, *place)

    def _rekey(self, inode: Inode, file_id: int, kind: int) -> None:
        inode.kind = kind
        key = file_id, kind
        if not file_id or key == inode.key:
            return
        self._unkey(inode)
        if key not in self._keys:  # of two nodes with one id the first is found by it
            self._keys[key] = inode
            inode.key = key

    def _unkey(self, inode: Inode) -> None:
        if inode.key is not None:
            del self._keys[inode.key]
            inode.key = None

    def _reap(self, inode: Inode) -> None:
        waiting = [inode]
        while waiting:
            inode = waiting.pop()
            if inode.lookups or inode.opens or inode.held or inode.children or inode is self.root:
                continue
            waiting += [parent for parent, _ in inode.places]
            for place in list(inode.places):
                self._leave(inode, *place)
            self._unkey(inode)
            if self._nodes.get(inode.node) is inode:
                del self._nodes[inode.node]


def _is_variant(place: tuple[Inode, bytes], other: tuple[Inode, bytes]) -> bool:
    """Whether two places differ by the case of the name at most."""
    return folded(*place) == folded(*other)
