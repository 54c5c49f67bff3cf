"""Declare a wire structure once; send it and receive it from the one declaration.

A structure is a class whose annotated fields stand in wire order, one per line, as in the tables
of [MS-SMB2] 2.2.  When the class is made they are compiled into one ``struct.Struct`` and three
straight-line functions: a message costs one C call and no loop.  ``bytes(message)`` is the wire
form; ``message.parts()`` the same without copying the variable parts, for sending and signing;
``Message.parse(view)`` is the way back, and raises `WireError` and nothing else whatever comes in.

This is the one clever module of the wire layer.  Everything built on it is a table.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    dataclass_transform,
    get_args,
    get_type_hints,
)

U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
I32 = Annotated[int, "i"]
I64 = Annotated[int, "q"]
Bytes4 = Annotated[bytes, "4s"]
Bytes8 = Annotated[bytes, "8s"]
Bytes16 = Annotated[bytes, "16s"]
Bytes24 = Annotated[bytes, "24s"]
Bytes32 = Annotated[bytes, "32s"]
Blob = bytes | memoryview

HEADER_SIZE = 64  # where an SMB2 body starts; offsets in a body count from the header's start


class WireError(ValueError):
    """The bytes are not the structure they claim to be."""


@dataclass(frozen=True)
class Pad:
    """Reserved bytes: sent as zero, ignored on receipt, never an attribute."""

    size: int


@dataclass(frozen=True)
class _Variable:
    offset: str  # the field that says where it starts; "" means right after what is before it
    length: str  # the field that says how long it is; "" means all there is
    align: int = 1
    unit: int = 1  # what the length counts, in bytes
    optional: bool = False
    default: bytes | None = None


def derived(*, init: Literal[False] = False) -> Any:
    """A fixed field that is worked out from a variable part, never given."""
    return None


def buffer(
    offset: str,
    length: str,
    *,
    align: int = 1,
    optional: bool = False,
    default: bytes | None = None,
) -> Any:
    """A variable part located by two `derived` fields; an absent ``optional`` one has offset 0.

    With ``length`` "" it takes all there is; it need not be given if it has a ``default``.
    """
    return _Variable(offset, length, align, 1, optional, default)


def trailing(length: str = "", *, unit: int = 1, default: bytes | None = None) -> Any:
    """The bytes right after the fixed part, or after the part before: as many as the field
    ``length`` says, or all.

    The field counts pieces of ``unit`` bytes, as in an array with a count before it.
    """
    return _Variable("", length, 1, unit, False, default)


@dataclass_transform(kw_only_default=True, field_specifiers=(derived, buffer, trailing))
class _StructureType(type):
    """Moves field defaults out of the class body, makes slots, compiles the functions."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        body: dict[str, Any],
        *,
        size: int = 0,
        at: int = HEADER_SIZE,
        endian: Literal["<", ">", "="] = "<",
    ) -> _StructureType:
        fields = {n: body.pop(n, None) for n in body.get("__annotations__", ())} if bases else {}
        if bases and not fields:
            raise TypeError(f"{name} has no fields: import annotations from __future__")
        body["__slots__"] = tuple(n for n, value in fields.items() if not isinstance(value, Pad))
        cls = super().__new__(mcs, name, bases, body)
        if bases:
            for attribute, value in _compile(cls, fields, size, at, endian).items():
                setattr(cls, attribute, value)
        return cls


class Structure(metaclass=_StructureType):
    """Base of every wire structure.  ``size`` is the StructureSize that goes first, if any;
    ``at`` is where the structure starts when `parse` is not told; ``endian`` is the byte order."""

    __slots__: ClassVar[tuple[str, ...]]
    FIXED: ClassVar[int]  # bytes in the fixed part
    LAYOUT: ClassVar[str]  # the fixed part in struct's language, without the byte order

    if TYPE_CHECKING:  # `_compile` makes the methods for each class

        @property
        def command(self) -> int:
            """Which `Command` this is the request of: an attribute of request classes only."""

        def parts(self) -> tuple[Blob, ...]:
            """The wire form, the fixed part first and the variable parts as they were given."""

        @classmethod
        def parse(cls, view: memoryview, at: int = HEADER_SIZE) -> Self:
            """Read one from ``view[at:]``; variable parts stay views of the same memory."""

    def __bytes__(self) -> bytes:
        return b"".join(self.parts())

    def __repr__(self) -> str:
        fields = ", ".join(f"{n}={_shown(getattr(self, n))}" for n in self.__slots__)
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bytes(self) == bytes(other)


def _shown(value: int | Blob) -> str:
    """Short bytes in hexadecimal, long ones by length: they may be a file, or a token."""
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return f"<{len(value)} bytes>" if len(value) > 16 else f"'{value.hex()}'"


@dataclass(frozen=True)
class _Plan:
    """One structure, taken apart: what the three functions are written from."""

    name: str
    size: int
    at: int
    layout: str
    fixed: list[str]  # the fields in `layout`, in order
    variables: dict[str, _Variable]
    defaults: dict[str, Any]

    @property
    def end(self) -> int:
        return struct.calcsize(self.layout)


def _compile(cls: type, fields: dict[str, Any], size: int, at: int, endian: str) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    layout, names = endian + "H" * bool(size), []
    variables = {n: value for n, value in fields.items() if isinstance(value, _Variable)}
    for name, value in fields.items():
        if isinstance(value, Pad):
            layout += f"{value.size}x"
        elif name not in variables:
            layout += get_args(hints[name])[1]
            names.append(name)
    defaults = {n: v.default if n in variables else v for n, v in fields.items()}
    plan = _Plan(cls.__name__, size, at, layout, names, variables, defaults)
    fixed = struct.Struct(layout)
    scope = {
        **{f"_{n}": value for n, value in defaults.items()},
        "pack": fixed.pack,
        "unpack": fixed.unpack_from,
        "new": object.__new__,
        "short": struct.error,
        "WireError": WireError,
    }
    exec("\n".join(_init(plan) + _parts(plan) + _parse(plan)), scope)  # as dataclasses do
    return {
        "__init__": scope["__init__"],
        "parts": scope["parts"],
        "parse": classmethod(scope["parse"]),
        "FIXED": fixed.size,
        "LAYOUT": layout[1:],
    }


def _init(plan: _Plan) -> list[str]:
    worked_out = {field for v in plan.variables.values() for field in (v.offset, v.length)}
    given = [n for n in plan.fixed if n not in worked_out] + list(plan.variables)
    arguments = ", ".join(n + f"=_{n}" * (plan.defaults[n] is not None) for n in given)
    lines = [f"def __init__(self{', *, ' * bool(given)}{arguments}):", "  pass"]
    return lines + [
        f"  self.{n} = {n if n in given else 0}" for n in [*plan.fixed, *plan.variables]
    ]


def _parts(plan: _Plan) -> list[str]:
    """Offsets and lengths are worked out left to right, each part after the one before it."""
    start = plan.at + plan.end
    lines, tail = ["def parts(self):", f"  end = {start}"], []
    for name, v in plan.variables.items():
        if v.align > 1:
            lines.append(f"  pad = -end % {v.align} if self.{name} else 0; end += pad")
            tail.append("bytes(pad)")
        lines.append(f"  n = len(self.{name})")
        if v.offset:
            lines.append(f"  self.{v.offset} = end" + " if n else 0" * v.optional)
        if v.length:
            lines.append(f"  self.{v.length} = n" + f" // {v.unit}" * (v.unit > 1))
        lines.append("  end += n")
        tail.append(f"self.{name}")
    values = [str(plan.size)] * bool(plan.size) + [f"self.{n}" for n in plan.fixed]
    whole = f"(pack({', '.join(values)}), {', '.join(tail)}{',' * bool(tail)})"
    if plan.size & 1:  # An odd StructureSize counts one byte of variable part: it must be there.
        lines.append(f"  if end == {start}: return {whole} + (b'\\0',)")
    return [*lines, f"  return {whole}"]


def _parse(plan: _Plan) -> list[str]:
    lines = [f"def parse(cls, view, at={plan.at}):", "  self = new(cls)"]
    targets = ["size"] * bool(plan.size) + [f"self.{n}" for n in plan.fixed]
    if plan.end:
        assignment = f"{', '.join(targets)}, = " if targets else ""
        lines += [
            f"  try: {assignment}unpack(view, at)",
            f"  except short: raise WireError('{plan.name} is truncated') from None",
        ]
    if plan.size:
        lines += [
            f"  if size != {plan.size}:",
            f"    raise WireError(f'{plan.name} has StructureSize {{size}}')",
        ]
    follows = f"at + {plan.end}"
    for n, v in plan.variables.items():
        start = f"self.{v.offset}" if v.offset else follows
        follows += f" + len(self.{n})" if not v.offset else ""
        if not v.length:
            absent = f" if {start} else view[:0]" if v.optional else ""
            lines.append(f"  self.{n} = view[{start}:]{absent}")
            continue
        length = f"self.{v.length}" + f" * {v.unit}" * (v.unit > 1)
        lines += [
            f"  self.{n} = view[{start}:{start} + {length}]",
            f"  if len(self.{n}) != {length}:",
            f"    raise WireError('{plan.name}.{n} runs past the end')",
        ]
    return [*lines, "  return self"]
