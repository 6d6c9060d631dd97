"""The digest of a prepared environment's tree: what was really there, not what an image's name says.

Input is the engine's export of a created, never started container: a tar stream. What an engine puts into every
container (`/.dockerenv`, `/etc/hosts`, the init process, mount points) is left out, and so are the times of the
directories that this touches. Everything else counts: paths, types, modes, owners, times, link targets, device numbers,
extended attributes (file capabilities) and contents. Tarfile would take four times as long, beside a build that wants
the processor, so the headers (POSIX.1-2001 pax, GNU long names) are read here.

Format of the hashed bytes: one line an entry, in bytewise order of path: a JSON array (ASCII, no spaces) and a newline:
`[path, type, mode, uid, gid, mtime, link, major, minor, [[attribute, value], …], sha256 of the content or ""]`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest

TREE_FORMAT = "tree/2"
"""Name of the format above; a digest says something only together with it."""
_ENTRY_LIMIT = 2_000_000
_METADATA_LIMIT_BYTES = 1024**2
_BLOCK = 512
_ENGINE_MADE = frozenset(
    {
        ".dockerenv",
        "run/.containerenv",
        "run/podman-init",
        "sbin/docker-init",
        "usr/sbin/docker-init",
        "input",
        "dev/console",
        "dev/pts",
        "dev/shm",
        "etc/hosts",
        "etc/hostname",
        "etc/resolv.conf",
        "etc/mtab",
    }
)
_ENGINE_TOUCHED = frozenset({"", "dev", "etc", "proc", "sys", "run", "sbin", "usr/sbin"})
_DIRECTORY, _REGULAR, _PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"5", b"0", b"x", b"g", b"L", b"K"


def tree_digest(export: Iterable[bytes]) -> Digest:
    """Hash an exported tree; raise EngineFailure when the stream is cut or is no tar."""
    entries: list[tuple[bytes, bytes]] = []
    try:
        for entry in _entries(_Stream(export)):
            entries.append(entry)
            if len(entries) > _ENTRY_LIMIT:
                raise EngineFailure(f"the environment has more than {_ENTRY_LIMIT} files")
    except ValueError as error:
        raise EngineFailure("the engine's export of the environment is not a tar") from error
    hasher = hashlib.sha256()
    for _, line in sorted(entries):
        hasher.update(line)
    return Digest(hasher.hexdigest())


class _Stream:
    """Bytes from blocks of any size, without copying more than is asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def pieces(self, count: int) -> Iterator[memoryview]:
        while count:
            if not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    raise EngineFailure("the engine's export of the environment ended too early")
                self._rest = memoryview(block)
            piece = self._rest[:count]
            self._rest = self._rest[len(piece) :]
            count -= len(piece)
            if piece:
                yield piece

    def take(self, count: int) -> bytes:
        return b"".join(self.pieces(count))

    def metadata(self, count: int) -> bytes:
        if not 0 <= count <= _METADATA_LIMIT_BYTES:
            raise EngineFailure("the engine's export of the environment has an absurd header")
        data = self.take(count)
        self.take(-count % _BLOCK)
        return data

    def content(self, count: int) -> str:
        if count < 0:
            raise EngineFailure("the engine's export of the environment has an absurd header")
        hasher = hashlib.sha256()
        for piece in self.pieces(count):
            hasher.update(piece)
        self.take(-count % _BLOCK)
        return hasher.hexdigest()


@dataclass(slots=True)
class _Extras:
    """What pax and GNU headers say about the entry that follows them."""

    path: bytes | None = None
    link: bytes | None = None
    size: int | None = None
    mtime: int | None = None
    uid: int | None = None
    gid: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()


def _entries(stream: _Stream) -> Iterator[tuple[bytes, bytes]]:
    extras = _Extras()
    while any(header := stream.take(_BLOCK)):
        kind, size = header[156:157], _number(header[124:136])
        if kind == _PAX:
            _read_pax(stream.metadata(size), extras)
        elif kind == _LONG_NAME:
            extras.path = stream.metadata(size).rstrip(b"\0")
        elif kind == _LONG_LINK:
            extras.link = stream.metadata(size).rstrip(b"\0")
        elif kind == _PAX_GLOBAL:
            stream.metadata(size)
        else:
            entry = _entry(stream, header, extras)
            extras = _Extras()
            if entry is not None:
                yield entry


def _entry(stream: _Stream, header: bytes, extras: _Extras) -> tuple[bytes, bytes] | None:
    kind = _REGULAR if header[156:157] == b"\0" else header[156:157]
    size = extras.size if extras.size is not None else _number(header[124:136])
    content = stream.content(size) if kind == _REGULAR else ""
    path = _path(header, extras)
    text = _text(path)
    if text in _ENGINE_MADE:
        return None
    mtime = extras.mtime if extras.mtime is not None else _number(header[136:148])
    fields = [
        text,
        _text(kind),
        _number(header[100:108]) & 0o7777,
        extras.uid if extras.uid is not None else _number(header[108:116]),
        extras.gid if extras.gid is not None else _number(header[116:124]),
        0 if text in _ENGINE_TOUCHED and kind == _DIRECTORY else mtime,
        _text(extras.link if extras.link is not None else _string(header[157:257])),
        _number(header[329:337]),
        _number(header[337:345]),
        sorted(extras.attributes),
        content,
    ]
    return path, json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _path(header: bytes, extras: _Extras) -> bytes:
    if extras.path is not None:
        path = extras.path
    else:
        path = _string(header[0:100])
        prefix = _string(header[345:500]) if header[257:262] == b"ustar" else b""
        path = prefix + b"/" + path if prefix else path
    return path.removeprefix(b"./").strip(b"/")


def _read_pax(data: bytes, extras: _Extras) -> None:
    attributes = []
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            raise ValueError("malformed pax header")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        keyword, _, value = record.partition(b"=")
        match keyword:
            case b"path":
                extras.path = value
            case b"linkpath":
                extras.link = value
            case b"size":
                extras.size = int(value)
            case b"mtime":
                extras.mtime = int(float(value))
            case b"uid":
                extras.uid = int(value)
            case b"gid":
                extras.gid = int(value)
            case _ if keyword.startswith(b"SCHILY.xattr."):
                attributes.append((_text(keyword), _text(value)))
    extras.attributes = tuple(attributes)


def _string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Octal text, or base 256 with the first bit set (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    return int(_string(field).strip() or b"0", 8)
