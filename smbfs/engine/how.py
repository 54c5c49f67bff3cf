"""How a file shall be opened: rights, disposition and options of a CREATE, as one value.

Pure.  Each constructor asks for the fewest rights that do ([MS-SMB2] 2.2.13): a server judges
every bit, and a bit too many is ACCESS_DENIED on a share that would have let us.

Easily broken: what concerns a name opens the name itself (OPEN_REPARSE_POINT), so that links are
seen and not followed; what concerns data must not, or a file that the server stores in another
way (deduplicated, in a cloud) reads as nothing.  Of a symbolic link the server then says
STOPPED_ON_SYMLINK.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from smbfs.engine.leasing import Wish
from smbfs.wire.constants import Access, Disposition, LeaseState, Options, Share

SEEN = Access.FILE_READ_ATTRIBUTES
CHANGES = (
    Access.FILE_WRITE_DATA
    | Access.FILE_APPEND_DATA
    | Access.FILE_WRITE_EA
    | Access.FILE_WRITE_ATTRIBUTES
    | Access.DELETE
)
ITSELF = Options.OPEN_REPARSE_POINT


@dataclass(frozen=True, slots=True)
class How:
    """The parameters of one CREATE; a context is its name and its data."""

    access: int
    disposition: int = Disposition.OPEN
    options: int = 0
    attributes: int = 0
    share: int = Share.ALL
    contexts: tuple[tuple[bytes, bytes], ...] = ()
    lease: Wish | None = None  # asked for in the way the server knows
    guid: bytes = b""  # names an open that the server shall keep if the connection is lost

    @property
    def changes_nothing(self) -> bool:
        """Whether it may be asked twice: it makes nothing, and has no right to change anything."""
        return self.disposition == Disposition.OPEN and not self.access & CHANGES

    def again(self) -> How:
        """The same for a file that it has opened before, and may have made."""
        return replace(self, disposition=Disposition.OPEN)

    def with_context(self, name: bytes, data: bytes = b"") -> How:
        """Ask the server one thing more."""
        return replace(self, contexts=(*self.contexts, (name, data)))

    @classmethod
    def looking(cls) -> How:
        """Look at a name: stat, readlink, statfs, a hard link."""
        return cls(SEEN, options=ITSELF)

    @classmethod
    def changing(cls) -> How:
        """Set times and DOS attributes."""
        return cls(SEEN | Access.FILE_WRITE_ATTRIBUTES, options=ITSELF)

    @classmethod
    def resizing(cls) -> How:
        """Set the size of a file."""
        return cls(SEEN | Access.FILE_WRITE_DATA, options=Options.NON_DIRECTORY_FILE)

    def alone(self) -> How:
        """The same while nobody has the file open for its data.

        Before it refuses, the server asks whoever holds the file idly, under a lease, to let it go
        ([MS-SMB2] 3.3.5.9, "sharing violation"), and waits for that.
        """
        return replace(self, share=Share.DELETE)

    @classmethod
    def touching(cls) -> How:
        """Have whoever holds a file idly let it go, and nothing else."""
        return cls(SEEN | Access.FILE_READ_DATA, options=ITSELF).alone()

    def asking_holders(self) -> How:
        """The same, with a lease: only then does Samba ask others' leases before a rename."""
        return replace(self, lease=Wish(os.urandom(16), LeaseState.READ | LeaseState.HANDLE))

    @classmethod
    def deleting(cls, directory: bool | None = None) -> How:
        """Delete: a directory, anything but a directory, or (None) whatever it is."""
        kind = {
            True: Options.DIRECTORY_FILE,
            False: Options.NON_DIRECTORY_FILE,
            None: 0,
        }[directory]
        return cls(Access.DELETE | SEEN, options=ITSELF | kind)

    @classmethod
    def renaming(cls) -> How:
        """Give a file or directory another name."""
        return cls(Access.DELETE | SEEN, options=ITSELF)

    @classmethod
    def reading_eas(cls) -> How:
        """Fetch extended attributes."""
        return cls(SEEN | Access.FILE_READ_EA, options=ITSELF)

    @classmethod
    def writing_eas(cls) -> How:
        """Set extended attributes."""
        return cls(SEEN | Access.FILE_WRITE_EA, options=ITSELF)

    @classmethod
    def making_directory(cls) -> How:
        """Make a directory where nothing is."""
        return cls(SEEN, Disposition.CREATE, Options.DIRECTORY_FILE | ITSELF)

    @classmethod
    def making_reparse(cls, directory: bool = False) -> How:
        """Make a file where nothing is, to become a reparse point, or to go if it cannot."""
        kind = Options.DIRECTORY_FILE if directory else Options.NON_DIRECTORY_FILE
        access = SEEN | Access.FILE_WRITE_ATTRIBUTES | Access.FILE_WRITE_DATA | Access.DELETE
        return cls(access, Disposition.CREATE, kind | ITSELF)

    @classmethod
    def listing(cls) -> How:
        """List a directory."""
        return cls(SEEN | Access.FILE_LIST_DIRECTORY, options=Options.DIRECTORY_FILE)

    @classmethod
    def reading(cls) -> How:
        """Read a file."""
        return cls.opening(os.O_RDONLY)

    @classmethod
    def writing(cls) -> How:
        """Write a file that is there."""
        return cls.opening(os.O_WRONLY)

    @classmethod
    def opening(cls, flags: int, attributes: int = 0) -> How:
        """Open a file as open(2) means its flags; ``attributes`` are for a file it makes.

        O_TRUNC is the caller's: with the step ``set_end_of_file(0)`` a file keeps its DOS and
        extended attributes, which an OVERWRITE would replace ([MS-FSA] 2.1.5.1.2).
        """
        mode = flags & os.O_ACCMODE
        access = SEEN
        if mode in (os.O_RDONLY, os.O_RDWR):
            access |= Access.FILE_READ_DATA
        if mode in (os.O_WRONLY, os.O_RDWR) or flags & os.O_TRUNC:
            access |= Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA
        disposition = Disposition.OPEN
        if flags & os.O_CREAT:
            disposition = Disposition.CREATE if flags & os.O_EXCL else Disposition.OPEN_IF
        options = Options.NON_DIRECTORY_FILE
        if flags & (os.O_SYNC | os.O_DSYNC):
            options |= Options.WRITE_THROUGH
        return cls(access, disposition, options, attributes)
