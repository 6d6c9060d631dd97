"""One file out of a .deb, without unpacking anything to disk under its own name (deb(5))."""

from __future__ import annotations

from pathlib import Path

from rebuilder.compare.readers.ar import read_ar
from rebuilder.compare.readers.archive import Archive, ArchiveKind, MemberType
from rebuilder.compare.readers.detect import detect, read_archive
from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.readers.tar import read_tar
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.errors import HostileInput

CONTROL, DATA = "control.tar", "data.tar"


def open_part(archive: Archive, part: str, workspace: Workspace) -> Archive:
    """Read the tar archive `control.tar` or `data.tar` of a .deb, whatever its compression."""
    found = [member for member in archive.members if member.name == part or member.name.startswith(part + ".")]
    if len(found) != 1 or found[0].content is None:
        raise HostileInput(f"a .deb with {len(found)} members {part}; exactly one belongs there")
    return read_tar(unpack_tar(found[0].content, workspace), workspace)


def unpack_tar(extent: Extent, workspace: Workspace) -> Extent:
    """Return the tar archive inside an extent that may be compressed once."""
    kind = detect(extent)
    if kind is None or not kind.is_compression:
        return extent
    content = read_archive(extent, kind, workspace).members[0].content
    if content is None:
        raise HostileInput("a compressed stream without content")
    return content


def read_deb_member(
    path: Path, suffix: str, *, part: str = DATA, limit_bytes: int = 4 * 1024**2, limits: ReadLimits | None = None
) -> tuple[str, bytes]:
    """Name and content of the one regular file of a .deb whose name ends with `suffix`, gunzipped if it is a gzip file.

    Raise HostileInput when there is none, when there are several, when it is too long, or when the .deb is malformed.
    """
    with Workspace(limits) as workspace:
        archive = read_ar(workspace.open(path), workspace)
        if archive.kind is not ArchiveKind.DEB:
            raise HostileInput(f"{path.name} is not a .deb: its first member is not debian-binary")
        members = open_part(archive, part, workspace).members
        found = [member for member in members if member.type is MemberType.FILE and member.name.endswith(suffix)]
        if len(found) != 1 or found[0].content is None:
            raise HostileInput(f"{path.name}: {len(found)} files end with {suffix!r} in {part}; exactly one expected")
        content = found[0].content
        if detect(content) is ArchiveKind.GZIP:
            content = read_archive(content, ArchiveKind.GZIP, workspace).members[0].content or content
        return found[0].name, content.whole(limit_bytes)
