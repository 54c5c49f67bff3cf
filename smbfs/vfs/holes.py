"""Sparse files: what grows by leaving something out is marked first, so that it takes no room.

As the kernel's own client does: a server allocates all of a file that is not marked.

Easily broken: the mark is a wish that rides along and nothing may fail for its sake; and only a
real gap is worth it, since some servers are slower on marked files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from smbfs.engine.controls import try_sparse
from smbfs.engine.information import Information
from smbfs.engine.steps import Step
from smbfs.wire.constants import Attributes as Dos

GAP = 8192  # bytes left out that are not worth a mark
SPARSE = "sparse files"


@dataclass(slots=True)
class Holes:
    """Whether files of this mount get holes."""

    is_wanted: bool = True  # False for nosparse
    refused: set[str] = field(default_factory=set)  # the share's, as in `Volume`

    def before_growth(self, information: Information, size: int, end: int) -> list[Step[Any]]:
        """What to do before a file of ``size`` bytes goes on at ``end``."""
        is_marked = information.attributes & Dos.SPARSE_FILE
        if is_marked or end - size <= GAP or not self.is_wanted or SPARSE in self.refused:
            return []
        return [try_sparse()]

    def heard(self, information: Information) -> None:
        """Learn from a file that should be marked whether the server takes marks."""
        if not information.attributes & Dos.SPARSE_FILE:
            self.refused.add(SPARSE)
