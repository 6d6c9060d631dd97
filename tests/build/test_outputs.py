"""Outputs are taken only as plain files in one flat directory, within bounds."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from rebuilder.build.container import Container
from rebuilder.build.outputs import collect
from rebuilder.errors import EngineFailure, HostileInput, ResourceExhausted
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs

Entry = tuple[str, bytes, bytes]
_PLAIN: Entry = ("output/a.deb", tarfile.REGTYPE, b"content")


class FakeContainer:
    """Hands out a tar."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get(self, path: str, *, limit_bytes: int) -> Iterator[bytes]:
        """Stream it in small blocks, bounded."""
        assert path == "/output"
        for start in range(0, len(self._data), 1000):
            if start > limit_bytes:
                raise ResourceExhausted(f"{path} in the container is larger than {limit_bytes} bytes")
            yield self._data[start : start + 1000]


def _container(*entries: Entry, cut: int | None = None) -> Container:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, content in (("output/", tarfile.DIRTYPE, b""), *entries):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), "/etc/passwd" if kind != b"0" else ""
            archive.addfile(entry, io.BytesIO(content))
    return cast("Container", FakeContainer(stream.getvalue()[:cut]))


def test_plain_files_are_stored_by_name(blobs: LocalBlobs, tmp_path: Path) -> None:
    """Sorted, with size and digest, and nothing stays in the scratch directory."""
    container = _container(("output/b_1:2~x+y.deb", tarfile.REGTYPE, b"b"), _PLAIN, ("output/empty", b"0", b""))
    found = collect(container, blobs, tmp_path, limit_bytes=1000)
    assert [(item.filename, item.size_bytes, item.digest) for item in found] == [
        ("a.deb", 7, Digest.of(b"content")),
        ("b_1:2~x+y.deb", 1, Digest.of(b"b")),
        ("empty", 0, Digest.of(b"")),
    ]
    assert blobs.get(found[0].digest) == b"content"
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (("output/link.deb", tarfile.SYMTYPE, b""), "'link.deb' is a symbolic link; only regular files"),
        (("output/hard", tarfile.LNKTYPE, b""), "'hard' is a hard link"),
        (("output/sda", tarfile.BLKTYPE, b""), "'sda' is a device or pipe"),
        (("output/tty", tarfile.CHRTYPE, b""), "'tty' is a device or pipe"),
        (("output/pipe", tarfile.FIFOTYPE, b""), "'pipe' is a device or pipe"),
        (("output/sub", tarfile.DIRTYPE, b""), "'sub' is a directory"),
        (("output/sub/file", tarfile.REGTYPE, b"x"), "'sub/file' has not a plain file name"),
        (("output/../../etc/passwd", tarfile.REGTYPE, b"x"), "has not a plain file name"),
        (("/etc/passwd", tarfile.REGTYPE, b"x"), "has not a plain file name"),
        (("output", tarfile.REGTYPE, b"x"), "has not a plain file name"),
        (("output/-rf", tarfile.REGTYPE, b"x"), "'-rf' has not a plain file name"),
        (("output/.hidden", tarfile.REGTYPE, b"x"), "'.hidden' has not a plain file name"),
        (("output/a\nb", tarfile.REGTYPE, b"x"), "has not a plain file name"),
        (("output/\u202egpj.deb", tarfile.REGTYPE, b"x"), "has not a plain file name"),
        (("output/" + "n" * 256, tarfile.REGTYPE, b"x"), "has not a plain file name"),
        (_PLAIN, "'a.deb' appears twice"),
    ],
)
def test_anything_else_is_refused(blobs: LocalBlobs, tmp_path: Path, entry: Entry, words: str) -> None:
    """Links, devices, pipes, directories, strange names, the same name twice."""
    with pytest.raises(HostileInput, match=words.replace(".", r"\.")):
        collect(_container(_PLAIN, entry), blobs, tmp_path, limit_bytes=1000)


def test_too_many_or_too_much_is_refused(blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count and total size are bounded."""
    monkeypatch.setattr("rebuilder.build.outputs._COUNT_LIMIT", 2)
    many = [(f"output/{number}", tarfile.REGTYPE, b"x") for number in range(3)]
    with pytest.raises(ResourceExhausted, match="more than 2 outputs"):
        collect(_container(*many), blobs, tmp_path, limit_bytes=1000)
    with pytest.raises(ResourceExhausted, match="larger than"):
        collect(_container(("output/big", tarfile.REGTYPE, b"x" * 50_000)), blobs, tmp_path, limit_bytes=1000)


@pytest.mark.parametrize("cut", [0, 100, 1500])
def test_a_cut_stream_is_an_engine_failure(blobs: LocalBlobs, tmp_path: Path, cut: int) -> None:
    """Half an answer is no answer."""
    with pytest.raises(EngineFailure, match="not a whole tar"):
        collect(_container(_PLAIN, cut=cut), blobs, tmp_path, limit_bytes=1000)
