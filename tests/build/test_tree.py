"""The tree's digest covers everything that matters, and nothing that an engine adds by itself."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest

from rebuilder.build.streams import Reader, pack
from rebuilder.build.tree import tree_digest
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest


def _entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o644, 1000
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry, content


def _tar(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _digest(data: bytes, block: int = 700) -> Digest:
    return tree_digest(data[start : start + block] for start in range(0, len(data), block))


def _tree(**fields: object) -> bytes:
    return _tar(_entry("usr", type=tarfile.DIRTYPE), _entry("usr/file", b"content", **fields))


@pytest.mark.parametrize(
    "altered",
    [
        _tar(_entry("usr", type=tarfile.DIRTYPE), _entry("usr/file", b"Content")),
        _tar(_entry("usr", type=tarfile.DIRTYPE), _entry("usr/file", b"content"), _entry("usr/more")),
        _tar(_entry("usr", type=tarfile.DIRTYPE)),
        _tree(mode=0o4644),
        _tree(uid=1),
        _tree(gid=1),
        _tree(mtime=1001),
        _tree(pax_headers={"SCHILY.xattr.security.capability": "x"}),
        _tar(_entry("usr", type=tarfile.DIRTYPE), _entry("usr/file", type=tarfile.SYMTYPE, linkname="content")),
        _tar(_entry("usr", type=tarfile.DIRTYPE), _entry("usr/file", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    ],
)
def test_every_change_changes_the_digest(altered: bytes) -> None:
    """Contents, presence, modes, owners, times, attributes, kinds."""
    assert _digest(altered) != _digest(_tree())


def test_order_form_and_blocks_do_not_matter() -> None:
    """The same tree has one digest, whichever way the engine writes its tar."""
    long = "usr/" + "d" * 90 + "/" + "f" * 120
    entries = (_entry("usr", type=tarfile.DIRTYPE), _entry(long, b"x" * 1000), _entry("usr/\u00e9\u4e00", b"y"))
    expected = _digest(_tar(*entries))
    assert _digest(_tar(*reversed(entries))) == expected
    assert _digest(_tar(*entries, form=tarfile.GNU_FORMAT)) == expected
    assert _digest(_tar(*entries), block=1) == expected
    assert _digest(_tar(*(_prefixed(entry) for entry in entries))) == expected


def _prefixed(entry: tuple[tarfile.TarInfo, bytes]) -> tuple[tarfile.TarInfo, bytes]:
    copy = entry[0].replace(name="./" + entry[0].name)
    return copy, entry[1]


def test_what_an_engine_adds_is_left_out() -> None:
    """`/.dockerenv`, name resolution, the init process, and the times of directories that these touch."""
    plain = _tar(_entry("etc", type=tarfile.DIRTYPE), _entry("etc/passwd", b"root"))
    added = _tar(
        _entry(".dockerenv"),
        _entry("etc", type=tarfile.DIRTYPE, mtime=5),
        _entry("etc/hosts", b"127.0.0.1"),
        _entry("etc/passwd", b"root"),
        _entry("usr/sbin/docker-init", mtime=7),
    )
    assert _digest(added) == _digest(plain)
    assert _digest(_tar(_entry("etc", type=tarfile.DIRTYPE), _entry("etc/passwd", b"toor"))) != _digest(plain)


def _cut(data: bytes) -> bytes:
    return data[:1300]


def _no_end(data: bytes) -> bytes:
    return data.rstrip(b"\0")


def _noise(_: bytes) -> bytes:
    return b"noise " * 500


def _bad_size(data: bytes) -> bytes:
    return data[:636] + b"9" * 11 + data[647:]


@pytest.mark.parametrize("spoil", [_cut, _no_end, _noise, _bad_size, lambda _: b""])
def test_a_broken_export_is_an_engine_failure(spoil: Callable[[bytes], bytes]) -> None:
    """A cut or garbled stream never gives a digest."""
    with pytest.raises(EngineFailure, match="export of the environment"):
        _digest(spoil(_tree()))


@pytest.mark.parametrize("record", [b"999 path=x\n", b"path=x\n", b"0 path=x\n", b"12 size=-99\n"])
def test_a_malformed_pax_header_is_an_engine_failure(record: bytes) -> None:
    """Lengths that lie and negative sizes are refused."""
    header, _ = _entry("pax", type=tarfile.XHDTYPE, size=len(record))
    data = header.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + _tar(_entry("file", b"x"))
    with pytest.raises(EngineFailure, match="export of the environment"):
        _digest(data)


def test_what_is_packed_can_be_read() -> None:
    """Our own tar has sorted names, fixed times, directories before what is in them, and the owner asked for."""
    data = b"".join(pack({"b/c": b"x" * 600, "a": b"y", "own": None}, directory_owner=1000))
    with tarfile.open(fileobj=io.BufferedReader(Reader(iter([data]))), mode="r|") as archive:
        entries = [(entry.name, entry.type, entry.mode, entry.uid, entry.mtime) for entry in archive]
    assert entries == [
        ("b", tarfile.DIRTYPE, 0o755, 0, 315532800),
        ("own", tarfile.DIRTYPE, 0o755, 1000, 315532800),
        ("a", tarfile.REGTYPE, 0o644, 0, 315532800),
        ("b/c", tarfile.REGTYPE, 0o644, 0, 315532800),
    ]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a//b", "a/../b"])
def test_a_name_that_is_not_plain_is_not_packed(name: str) -> None:
    """What goes into a container goes where we say."""
    with pytest.raises(ValueError, match="not a plain relative path"):
        list(pack({name: b""}))
