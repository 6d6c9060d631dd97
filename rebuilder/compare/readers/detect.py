"""Which container a file is, by its own bytes; a name decides nothing."""

from __future__ import annotations

from rebuilder.compare.readers import gzip_stream, zstd_frames
from rebuilder.compare.readers.ar import MAGIC as AR_MAGIC
from rebuilder.compare.readers.ar import read_ar
from rebuilder.compare.readers.archive import Archive, ArchiveKind
from rebuilder.compare.readers.compressed import read_compressed
from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.tar import read_tar
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.compare.readers.zip import read_zip

_MAGICS = (
    (AR_MAGIC, ArchiveKind.AR),
    (gzip_stream.MAGIC, ArchiveKind.GZIP),
    (b"\xfd7zXZ\0", ArchiveKind.XZ),
    (zstd_frames.MAGIC, ArchiveKind.ZSTD),
    (b"BZh", ArchiveKind.BZIP2),
    (b"\x5d\0\0", ArchiveKind.LZMA),
    (b"PK\x03\x04", ArchiveKind.ZIP),
    (b"PK\x05\x06", ArchiveKind.ZIP),
)


def detect(extent: Extent) -> ArchiveKind | None:
    """Recognise the kind of container, or None for a plain file. A zip behind a prefix counts as a plain file."""
    head = extent.head(512)
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if len(head) == 512 and (head[257:262] == b"ustar" or head == bytes(512)):
        return ArchiveKind.TAR
    return None


def read_archive(extent: Extent, kind: ArchiveKind, workspace: Workspace) -> Archive:
    """Read a container of a known kind; raise HostileInput for any other bytes."""
    if kind is ArchiveKind.TAR:
        return read_tar(extent, workspace)
    if kind is ArchiveKind.ZIP:
        return read_zip(extent, workspace)
    if kind in {ArchiveKind.AR, ArchiveKind.DEB}:
        return read_ar(extent, workspace)
    return read_compressed(extent, kind, workspace)
