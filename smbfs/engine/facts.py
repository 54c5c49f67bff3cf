"""What a share is: what was learnt of it when it was connected.

Pure.  Easily broken: what a server did not answer stays as a share usually is, and is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from smbfs.engine.compound import LIST_SIZE
from smbfs.engine.session import Tree
from smbfs.engine.steps import SMALL, Step, query_attributes_fs, query_space, query_volume
from smbfs.wire.codec import Blob, WireError
from smbfs.wire.fscc import (
    FileFsAttributeInformation,
    FileFsFullSizeInformation,
    FileFsVolumeInformation,
    FsAttributes,
)
from smbfs.wire.units import text

FACTS: tuple[Step[Any], ...] = (query_attributes_fs(), query_volume(), query_space())
NAME_MAX = 255


@dataclass(frozen=True, slots=True)
class ShareFacts:
    """What was learnt of a share when it was connected; sizes are bytes."""

    fs_name: str = ""
    fs_attributes: int = 0  # `FsAttributes`
    name_max: int = NAME_MAX  # UTF-16 units in one name
    volume_serial: int = 0
    label: str = ""
    allocation_unit: int = 4096
    read_size: int = SMALL
    write_size: int = SMALL
    list_size: int = SMALL
    posix: bool = False
    leases_directories: bool = False
    is_encrypted: bool = False
    is_continuous: bool = False  # open files outlive a restart of the server

    def has(self, attribute: int) -> bool:
        """Whether the filesystem says it can do this; Samba says less than it does."""
        return bool(self.fs_attributes & attribute)

    @property
    def is_case_sensitive(self) -> bool:
        """Whether names that differ in case only are different files."""
        return self.has(FsAttributes.CASE_SENSITIVE_SEARCH)

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written at all."""
        return self.has(FsAttributes.READ_ONLY_VOLUME)

    @property
    def has_reparse_points(self) -> bool:
        """Whether symbolic links can be stored as such."""
        return self.has(FsAttributes.SUPPORTS_REPARSE_POINTS)

    @property
    def has_eas(self) -> bool:
        """Whether extended attributes are announced."""
        return self.has(FsAttributes.SUPPORTS_EXTENDED_ATTRIBUTES)

    @property
    def has_sparse_files(self) -> bool:
        """Whether files can have holes."""
        return self.has(FsAttributes.SUPPORTS_SPARSE_FILES)


def facts_of(tree: Tree, found: Sequence[Any]) -> ShareFacts:
    """Make the facts of what was answered; what was not stays as a share usually is."""
    capabilities = tree.session.capabilities
    facts = ShareFacts(
        read_size=capabilities.max_read,
        write_size=capabilities.max_write,
        list_size=min(capabilities.max_transact, LIST_SIZE),
        posix=capabilities.posix,
        leases_directories=capabilities.leasing and capabilities.directory_leasing,
        is_continuous=tree.is_continuous,
        is_encrypted=tree.seal or tree.session.guard.must_seal,
    )
    for one in found:
        match one:
            case FileFsAttributeInformation():
                facts = replace(
                    facts,
                    fs_name=_words(one.file_system_name),
                    fs_attributes=one.file_system_attributes,
                    name_max=one.maximum_component_name_length or NAME_MAX,
                )
            case FileFsVolumeInformation():
                facts = replace(
                    facts,
                    volume_serial=one.volume_serial_number,
                    label=_words(one.volume_label),
                )
            case FileFsFullSizeInformation():
                unit = one.sectors_per_allocation_unit * one.bytes_per_sector
                facts = replace(facts, allocation_unit=unit or facts.allocation_unit)
    return facts


def _words(name: Blob) -> str:
    """Read a name that serves people only: one that cannot be read is none."""
    try:
        return text(name)
    except WireError:
        return ""
