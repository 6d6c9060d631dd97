"""Which cause a difference has. Where nothing explains it, it counts as payload."""

from __future__ import annotations

import re
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
    Place,
    PresenceDiffers,
    StreamHeaderDiffers,
    TextDiffers,
)
from rebuilder.compare.readers.archive import Attribute
from rebuilder.model.cause import Cause

SCRIPTS = frozenset({"preinst", "postinst", "prerm", "postrm", "config"})
"""Control members that the package manager runs (deb(5), debconf-devel(7))."""

_DOCUMENTATION = re.compile(r"/\./usr/(?:share|local/share)/(?:doc|man|info|gtk-doc|doc-base|help|lintian|bug)/")
_PRIVILEGE_RECORDS = ("security.capability", "security.selinux", "system.posix_acl", "trusted.")


def is_documentation(path: str) -> bool:
    """Whether a path in data.tar is one that only people read."""
    return _DOCUMENTATION.search(path) is not None


def is_script(path: str) -> bool:
    """Whether a path in control.tar is a maintainer script."""
    return path.rsplit("/", 1)[-1] in SCRIPTS


def causes_of(difference: Difference) -> tuple[Cause, ...]:  # noqa: PLR0911 - one line a case
    """Return at least one cause, most important first."""
    match difference:
        case AttributeDiffers():
            return (_of_attribute(difference),)
        case PresenceDiffers():
            return _of_presence(difference)
        case OrderDiffers():
            return (Cause.FILE_ORDER,)
        case CompressionDiffers():
            return (Cause.COMPRESSION,)
        case StreamHeaderDiffers():
            return (Cause.TIMESTAMPS,)
        case ElfRegionDiffers() | ControlFieldDiffers() | ChecksumFollows():
            return (difference.cause,)
        case ChecksumStale():
            return (Cause.ARCHIVE_METADATA,)
        case TextDiffers() | BytesDiffer():
            return _of_content(difference)
        case _:
            assert_never(difference)


def _of_attribute(difference: AttributeDiffers) -> Cause:  # noqa: PLR0911 - one line a case
    match difference.attribute:
        case Attribute.MODE:
            return _of_mode(difference)
        case Attribute.OWNER | Attribute.GROUP:
            if difference.place in {Place.OUTSIDE, Place.CONTROL}:
                return Cause.HOSTNAME_OR_USER
            return Cause.SETUID_CHANGED if difference.privileged else Cause.FILE_MODES
        case Attribute.MTIME:
            return Cause.TIMESTAMPS
        case Attribute.TYPE | Attribute.LINK | Attribute.DEVICE:
            return _payload(difference.path, difference.place)
        case Attribute.PACKING:
            return Cause.COMPRESSION
        case _ if difference.attribute.startswith("pax:"):
            if any(record in difference.attribute for record in _PRIVILEGE_RECORDS):
                return Cause.SETUID_CHANGED
            return Cause.FILE_MODES if "xattr" in difference.attribute else Cause.ARCHIVE_METADATA
        case _:
            return Cause.ARCHIVE_METADATA


def _of_mode(difference: AttributeDiffers) -> Cause:
    if difference.place is Place.OUTSIDE:
        return Cause.ARCHIVE_METADATA
    if difference.place is Place.CONTROL and is_script(difference.path):
        return Cause.MAINTAINER_SCRIPT_CHANGED
    special = {value[:-3].lstrip("0") for value in (difference.reference or "", difference.rebuilt or "")}
    return Cause.SETUID_CHANGED if len(special) > 1 else Cause.FILE_MODES


def _of_presence(difference: PresenceDiffers) -> tuple[Cause, ...]:
    payload = _payload(difference.path, difference.place)
    return (Cause.SETUID_CHANGED, payload) if difference.privileged else (payload,)


def _of_content(difference: TextDiffers | BytesDiffer) -> tuple[Cause, ...]:
    if difference.place is Place.CONTROL and is_script(difference.path):
        by_tools = difference.causes == (Cause.TOOLCHAIN_VERSION,)
        in_comments = isinstance(difference, TextDiffers) and difference.only_comments
        return difference.causes if by_tools and in_comments else (Cause.MAINTAINER_SCRIPT_CHANGED, *difference.causes)
    if difference.causes:
        return difference.causes
    if difference.place is not Place.CONTROL and is_documentation(difference.path) and not difference.executable:
        return (Cause.DOCUMENTATION,)
    return (Cause.PAYLOAD_CHANGED,)


def _payload(path: str, place: Place) -> Cause:
    return Cause.MAINTAINER_SCRIPT_CHANGED if place is Place.CONTROL and is_script(path) else Cause.PAYLOAD_CHANGED
