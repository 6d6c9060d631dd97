"""Reading bytes that are only in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.compare.readers.archive import Archive, ArchiveKind
from rebuilder.compare.readers.detect import detect, read_archive
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.readers.workspace import Workspace

Read = Callable[..., tuple[Archive, dict[str, bytes]]]


def read_bytes(
    path: Path, data: bytes, kind: ArchiveKind | None = None, limits: ReadLimits | None = None
) -> tuple[Archive, dict[str, bytes]]:
    """Read one container and all of its contents."""
    path.write_bytes(data)
    with Workspace(limits) as workspace:
        extent = workspace.open(path)
        kind = kind or detect(extent)
        assert kind is not None
        archive = read_archive(extent, kind, workspace)
        contents = {}
        for member in archive.members:
            content = member.unpacked()
            if content is not None:
                contents[member.name] = content.read(0, content.size)
        return archive, contents


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads bytes as a container."""
    return lambda data, *args, **kwargs: read_bytes(tmp_path / "container", data, *args, **kwargs)
