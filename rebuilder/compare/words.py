"""A difference in one sentence, with both values in short."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from rebuilder.compare.differences import (
    AttributeDiffers,
    BytesDiffer,
    ChecksumFollows,
    ChecksumStale,
    CompressionDiffers,
    ControlFieldDiffers,
    Difference,
    ElfRegionDiffers,
    OrderDiffers,
    PresenceDiffers,
    Side,
    StreamHeaderDiffers,
    TextDiffers,
)
from rebuilder.compare.readers.archive import Attribute, shown

_VALUE_LIMIT = 200

Words = tuple[str, str | None, str | None]
"""Sentence, the reference's value, the rebuilt one's."""


def describe(difference: Difference) -> Words:
    """Return the sentence and the two values, safe to print and bounded."""
    detail, reference, rebuilt = _describe(difference)
    return shown(detail), _short(reference), _short(rebuilt)


def _short(value: str | None) -> str | None:
    return None if value is None else shown(value, _VALUE_LIMIT)


def _describe(difference: Difference) -> Words:  # noqa: C901, PLR0911 - one line a case
    match difference:
        case AttributeDiffers():
            return _of_attribute(difference)
        case PresenceDiffers():
            kind = f"{'setuid or setgid ' if difference.privileged else ''}{difference.type}"
            here = ("present", None) if difference.only_in is Side.REFERENCE else (None, "present")
            return f"a {kind} that only the {difference.only_in} has", *here
        case OrderDiffers():
            risk = "; unpacked in this order it may give another result" if difference.matters else ""
            return f"members come in another order{risk}", None, None
        case CompressionDiffers():
            return "packed in another way", difference.reference, difference.rebuilt
        case StreamHeaderDiffers():
            return "the compressed stream records other circumstances", difference.reference, difference.rebuilt
        case ElfRegionDiffers():
            return difference.detail, difference.reference, difference.rebuilt
        case TextDiffers():
            return _of_text(difference), difference.reference, difference.rebuilt
        case ControlFieldDiffers():
            return f"control field {difference.field} differs", difference.reference, difference.rebuilt
        case ChecksumFollows():
            return "the file's MD5 sum follows the file", difference.reference, difference.rebuilt
        case ChecksumStale():
            return (
                f"md5sums of the {difference.side} does not describe the file: {difference.claimed} is claimed",
                (difference.actual if difference.side is Side.REFERENCE else None),
                (difference.actual if difference.side is Side.REBUILT else None),
            )
        case BytesDiffer():
            unopened = f"; not compared by its members: {difference.not_opened}" if difference.not_opened else ""
            return f"content differs{unopened}", difference.reference, difference.rebuilt
        case _:
            assert_never(difference)


def _of_attribute(difference: AttributeDiffers) -> Words:
    what = difference.attribute.removeprefix("pax:")
    values = difference.reference, difference.rebuilt
    if difference.attribute == Attribute.MTIME:
        values = _date(values[0]), _date(values[1])
    return f"{what} of the {difference.type or 'container'} differs", *values


def _of_text(difference: TextDiffers) -> str:
    lines = "one line differs" if difference.lines == 1 else f"{difference.lines} lines differ"
    return f"{lines}{', all of them in ' + ' and '.join(difference.causes) if difference.causes else ''}"


def _date(value: str | None) -> str | None:
    try:
        return datetime.fromtimestamp(int(value or ""), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return value
