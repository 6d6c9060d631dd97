"""What differs, as data: one class for each shape. Causes, words and stabilizers are functions of these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rebuilder.compare.readers.archive import MemberType
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import Stabilizer


class Place(StrEnum):
    """Which part of an artifact a difference is in: the same fact weighs differently in each."""

    OUTSIDE = "outside"
    """The outermost container itself: the ar layer of a .deb."""
    CONTROL = "control"
    """control.tar: what the package manager reads and runs."""
    DATA = "data"
    """data.tar: what gets installed."""
    NESTED = "nested"
    """Inside a container that is installed, or any other artifact's members."""


class Side(StrEnum):
    """Which of the two."""

    REFERENCE = "reference"
    REBUILT = "rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeDiffers:
    """An attribute of a member, or of a container when `type` is None."""

    path: str
    place: Place
    type: MemberType | None
    attribute: str
    """An `Attribute`, or `pax:<key>`."""
    reference: str | None
    rebuilt: str | None
    privileged: bool = False
    """Whether the member is setuid or setgid on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceDiffers:
    """A member that only one side has."""

    path: str
    place: Place
    only_in: Side
    type: MemberType
    privileged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDiffers:
    """The members that both have come in another order."""

    path: str
    place: Place
    matters: bool
    """Whether unpacking in another order could give another result: duplicates, hard links, members below a link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionDiffers:
    """Content was packed in another way; what it unpacks to is compared separately."""

    path: str
    place: Place
    reference: str
    rebuilt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeaderDiffers:
    """A compressed stream's own record of a name, a date or a system."""

    path: str
    place: Place
    reference: str
    rebuilt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfRegionDiffers:
    """A section of an ELF file, or a table, or the bytes outside all sections."""

    path: str
    region: str
    cause: Cause
    detail: str
    reference: str | None
    rebuilt: str | None
    only_build_id: bool
    """Whether every byte of the file outside a well-formed build-id and debuglink is equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDiffers:
    """Lines of a text."""

    path: str
    place: Place
    causes: tuple[Cause, ...]
    """What explains every changed line; empty where something remains unexplained."""
    lines: int
    reference: str
    """The first changed line."""
    rebuilt: str
    only_comments: bool = False
    """Whether every changed line is a shell comment."""
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFieldDiffers:
    """A field of the control file."""

    path: str
    field: str
    cause: Cause
    reference: str | None
    rebuilt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksumFollows:
    """A line of md5sums that is right on both sides, and differs (or is missing) because the file does (or is)."""

    path: str
    cause: Cause
    reference: str | None
    rebuilt: str | None
    removed_by: Stabilizer | None
    """What removes the file's own difference removes this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksumStale:
    """A line of md5sums that does not say what the file is."""

    path: str
    side: Side
    claimed: str
    actual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesDiffer:
    """Content that was compared as bytes: of no format known here, or not to be opened within bounds."""

    path: str
    place: Place
    causes: tuple[Cause, ...]
    """What explains every changed byte; empty where something remains unexplained."""
    reference: str
    rebuilt: str
    not_opened: str = ""
    """Why a container was not compared by its members."""
    executable: bool = False


Difference = (
    AttributeDiffers
    | PresenceDiffers
    | OrderDiffers
    | CompressionDiffers
    | StreamHeaderDiffers
    | ElfRegionDiffers
    | TextDiffers
    | ControlFieldDiffers
    | ChecksumFollows
    | ChecksumStale
    | BytesDiffer
)
