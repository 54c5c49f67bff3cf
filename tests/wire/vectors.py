"""Reads the stored messages: one a file in ``tests/vectors/*.hex``, one field a line.

A file begins with ``# class: ReadRequest`` and more comments; then each line is ``hex  # field =
value``.  The bytes are the body as it follows the header, or the whole of a structure that has
none.  A field that is an attribute of the class is compared with its value, or with the line's
own bytes if it holds bytes; other names (StructureSize, Reserved, Padding) are for the reader.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import smbfs.wire
from smbfs.wire.codec import Structure

VECTORS = Path(__file__).parent.parent / "vectors"


@dataclass(frozen=True)
class Vector:
    """One stored structure, and what is said of each of its fields."""

    name: str
    cls: type[Structure]
    wire: bytes
    fields: dict[str, int | bytes]

    @property
    def message(self) -> memoryview:
        """The bytes where they belong: a body after a header's worth of zeros."""
        return memoryview(bytes(default_at(self.cls)) + self.wire)


def default_at(cls: type[Structure]) -> int:
    """Where ``cls`` begins if nobody says otherwise."""
    at = inspect.signature(cls.parse).parameters["at"].default
    assert isinstance(at, int)
    return at


def structures() -> dict[str, type[Structure]]:
    """Every structure the wire room declares, by its name."""
    for module in pkgutil.iter_modules(smbfs.wire.__path__):
        importlib.import_module(f"smbfs.wire.{module.name}")
    found = [cls for cls in Structure.__subclasses__() if cls.__module__.startswith("smbfs.wire.")]
    by_name = {cls.__name__: cls for cls in found}
    assert len(by_name) == len(found), "two structures have one name"
    return by_name


def load() -> list[Vector]:
    """All vectors, in the order of their file names."""
    classes = structures()
    return [read(path, classes) for path in sorted(VECTORS.glob("*.hex"))]


def read(path: Path, classes: dict[str, type[Structure]]) -> Vector:
    """One vector file."""
    first, *lines = path.read_text().splitlines()
    assert first.startswith("# class: "), path
    cls = classes[first.removeprefix("# class: ")]
    wire, fields = b"", dict[str, int | bytes]()
    for line in lines:
        digits, _, comment = line.partition("#")
        piece = bytes.fromhex(digits)
        wire += piece
        name, _, value = (part.strip() for part in comment.partition("="))
        if piece and name in cls.__slots__:
            fields[name] = int(value.split(",")[0].split()[0], 0) if value else piece
    return Vector(path.stem, cls, wire, fields)
