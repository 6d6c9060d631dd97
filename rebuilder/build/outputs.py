"""What a build left in /output: hostile until proven plain."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import IO, cast

from rebuilder.build.container import Container
from rebuilder.build.streams import Reader
from rebuilder.errors import EngineFailure, HostileInput, ResourceExhausted
from rebuilder.model.release import FileReference
from rebuilder.store.blobs import BlobStore
from rebuilder.world.files import storage_errors

OUTPUT = "/output"
_COUNT_LIMIT = 10_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~:%@=,-]{0,254}")
_BLOCK = 1024 * 1024


def collect(container: Container, blobs: BlobStore, scratch: Path, *, limit_bytes: int) -> tuple[FileReference, ...]:
    """Store every file of /output as a blob and return them by name.

    Raise HostileInput for anything but regular files with plain names in one flat directory, ResourceExhausted beyond
    the limits.
    """
    found: dict[str, FileReference] = {}
    stream = Reader(container.get(OUTPUT, limit_bytes=limit_bytes + 1024 * _COUNT_LIMIT))
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=_BLOCK) as archive:
            for entry in archive:
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every entry
                name = _plain_name(entry)
                if name is None:
                    continue
                if name in found:
                    raise HostileInput(f"output {name!r} appears twice")
                if len(found) == _COUNT_LIMIT:
                    raise ResourceExhausted(f"the build made more than {_COUNT_LIMIT} outputs")
                found[name] = _store(archive, entry, name, blobs, scratch)
    except (tarfile.TarError, EOFError) as error:
        raise EngineFailure("the engine's copy of the outputs is not a whole tar") from error
    return tuple(found[name] for name in sorted(found))


def _plain_name(entry: tarfile.TarInfo) -> str | None:
    """Name of an output; None for the directory itself."""
    parts = entry.name.removeprefix("./").rstrip("/").split("/")
    if entry.isdir() and len(parts) == 1:
        return None
    name = "/".join(parts[1:])
    if entry.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
        raise HostileInput(f"output {name[:100]!r} is {_kind(entry)}; only regular files are taken")
    if not _NAME.fullmatch(name):
        raise HostileInput(f"output {name[:100]!r} has not a plain file name")
    return name


def _kind(entry: tarfile.TarInfo) -> str:
    if entry.issym():
        return "a symbolic link"
    if entry.islnk():
        return "a hard link"
    if entry.isdir():
        return "a directory"
    if entry.isdev():
        return "a device or pipe"
    return "no regular file"


def _store(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str, blobs: BlobStore, scratch: Path
) -> FileReference:
    source = archive.extractfile(entry)
    if source is None:
        raise EngineFailure(f"output {name!r} cannot be read")
    path = scratch / "output"
    with storage_errors(path):
        with path.open("wb") as stream:
            while block := source.read(_BLOCK):
                stream.write(block)
        size = path.stat().st_size
    digest = blobs.put_file(path)
    with storage_errors(path):
        path.unlink()
    return FileReference(filename=name, size_bytes=size, digest=digest)
