"""What a container is to us: members in order, each with attributes and content, and attributes of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from rebuilder.compare.readers.extent import Extent


class ArchiveKind(StrEnum):
    """A container format."""

    AR = "ar"
    DEB = "deb"
    TAR = "tar"
    ZIP = "zip"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    LZMA = "lzma"

    @property
    def is_compression(self) -> bool:
        """Whether it holds one nameless content rather than members."""
        return self not in {ArchiveKind.AR, ArchiveKind.DEB, ArchiveKind.TAR, ArchiveKind.ZIP}


class MemberType(StrEnum):
    """What a member is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CHARACTER_DEVICE = "character-device"
    BLOCK_DEVICE = "block-device"
    FIFO = "fifo"
    OTHER = "other"


class Attribute(StrEnum):
    """What is known of a member or of a container besides content. Keys of pax records are `pax:<key>` instead."""

    TYPE = "type"
    MODE = "mode"
    """Permission bits in octal, setuid, setgid and sticky included."""
    OWNER = "owner"
    GROUP = "group"
    MTIME = "mtime"
    LINK = "link"
    DEVICE = "device"
    PACKING = "packing"
    """How bytes were compressed: method, level where it shows, window, checks."""
    HEADER = "header"
    """A compressed stream's own record of a name, a date, a system."""
    ENCODING = "encoding"
    """Whatever is unusual in how the header was written; empty for what common tools write."""
    EXTRA = "extra"
    """Data that belongs to no member: comments, gaps, trailing bytes."""


Attributes = tuple[tuple[str, str], ...]
"""Pairs of an `Attribute` (or `pax:<key>`) and its value as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of a container."""

    name: str
    """As written, bytes that are not UTF-8 kept by surrogateescape; untrusted: may be absolute, or climb."""
    type: MemberType
    attributes: Attributes
    content: Extent | None
    """None for what has no content, such as a directory. Still packed when `unpack` is set."""
    unpack: Callable[[], Extent] | None = field(default=None, repr=False)
    """For a member that is packed by itself (zip): gives the content when it is needed."""

    def attribute(self, key: str) -> str | None:
        """Return the value of one attribute, or None."""
        return dict(self.attributes).get(key)

    def unpacked(self) -> Extent | None:
        """Return the content as it would be installed; may raise HostileInput."""
        return self.content if self.unpack is None else self.unpack()


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A container, read."""

    kind: ArchiveKind
    members: tuple[Member, ...]
    attributes: Attributes = ()


def text_of(raw: bytes) -> str:
    """Turn a name into text, without loss."""
    return raw.decode("utf-8", "surrogateescape")


def shown(name: str, limit: int = 400) -> str:
    """Make a name or value safe to print: one line, no control characters, bounded."""
    cut = name[: limit + 1]
    clean = cut if cut.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in cut)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
