"""What the rows work on: files on the server's disk and here, which vary with a seed.

Nothing can be tuned to it: names, counts and sizes are drawn anew for each seed, within a few
percent of what the table says, and the bytes do not compress.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is."""

    large: int  # bytes of the large file
    listed: int  # files in the folder that is listed
    small: int  # small files
    small_size: int  # bytes of each
    folders: int  # in the tree
    each: int = 5  # files in each of them

    @classmethod
    def of(cls, seed: int, *, is_quick: bool = False) -> Scale:
        """What the table says, give or take; a tenth of it and less if it shall be quick."""
        chance = random.Random(seed)

        def about(count: int) -> int:
            return round(count * chance.uniform(0.97, 1.03))

        if is_quick:
            return cls(8 * MIB + chance.randrange(MIB), about(200), about(20), 10240, about(20))
        return cls(about(256 * MIB), about(5000), about(200), about(10240), about(200))


class Ground:
    """The files of one seed: ``behind`` is the share on the server's disk, ``here`` a folder."""

    def __init__(self, behind: Path, here: Path, seed: int, scale: Scale) -> None:
        self.behind = behind
        self.here = here
        self.scale = scale
        self._chance = random.Random(seed)
        self._block = self._chance.randbytes(MIB)
        self.word = "".join(self._chance.choices(LETTERS, k=6))

    def prepare(self) -> None:
        """Make all that is read."""
        with (self.behind / self.large).open("wb") as file:
            self.write_large(file.fileno())
        listed = self.behind / self.listed
        listed.mkdir()
        for number in range(self.scale.listed):
            (listed / f"{self.word}-{number:06}.dat").touch()
        self.make_small(self.behind / self.small)
        self.make_small(self.here / self.small)
        for number in range(self.scale.folders):
            folder = self.behind / self.tree / f"{self.word}{number:04}"
            folder.mkdir(parents=True)
            for one in range(self.scale.each):
                (folder / f"{one}-{self.word}").touch()

    @property
    def large(self) -> str:
        """The name of the large file."""
        return f"{self.word}.iso"

    @property
    def listed(self) -> str:
        """The name of the folder that is listed."""
        return f"{self.word}-many"

    @property
    def small(self) -> str:
        """The name of the folder of small files."""
        return f"{self.word}-small"

    @property
    def tree(self) -> str:
        """The name of the tree of folders."""
        return f"{self.word}-tree"

    def write_large(self, descriptor: int) -> None:
        """Write the bytes of the large file."""
        left, number = self.scale.large, 0
        with open(descriptor, "wb", closefd=False) as file:
            while left > 0:
                piece = number.to_bytes(8, "little") + self._block[8 : min(MIB, left)]
                file.write(piece[:left])
                left -= len(piece)
                number += 1

    def make_small(self, folder: Path) -> None:
        """Make the folder of small files anew."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number in range(self.scale.small):
            body = number.to_bytes(4, "little") + self._block[4 : self.scale.small_size]
            (folder / f"{self.word}_{number:03}").write_bytes(body)
