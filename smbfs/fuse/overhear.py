"""What libraries and children say on standard error, kept as text: libfuse tells its reasons there.

Easily broken: descriptor 2 belongs to the whole process, so nothing here may wait.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

SPEAKERS = re.compile(r"^(fuse|fusermount3?): *", re.MULTILINE)  # who says it is of no interest


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """Collect what is written to descriptor 2 meanwhile; the lines are there at the end."""
    lines: list[str] = []
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said = SPEAKERS.sub("", file.read().decode(errors="replace"))
            lines += filter(None, (line.strip() for line in said.splitlines()))
