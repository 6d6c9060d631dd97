"""Makes containers to compare: every field of a .deb as a parameter, written with the standard library."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import zstandard

EPOCH = 1_700_000_000
ELF = Path("/bin/true")
"""A real, stripped ELF file with a build-id note and a debuglink, from the system's coreutils."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member of a tar archive to be written."""

    name: str
    content: bytes = b""
    mode: int = 0o644
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mtime: int = EPOCH
    uid: int = 0
    user: str = "root"
    pax: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A .deb to be written; `md5sums` is made from the data unless `stale_md5sums` gives it."""

    data: tuple[Entry, ...]
    control: str = "Package: sample\nVersion: 1.0-1\nArchitecture: amd64\nDepends: libc6 (>= 2.36), perl (>= 5.36.0)\n"
    scripts: tuple[Entry, ...] = ()
    stale_md5sums: bytes | None = None
    compression: str = "xz"
    preset: int = 6
    ar_mtime: int = EPOCH
    extra: tuple[tuple[str, bytes], ...] = ()

    @property
    def md5sums(self) -> bytes:
        """What dh_md5sums would write."""
        return b"".join(
            f"{_md5(entry.content)}  {entry.name.removeprefix('./')}\n".encode("utf-8", "surrogateescape")
            for entry in self.data
            if entry.type == tarfile.REGTYPE
        )

    def with_file(self, name: str, content: bytes) -> Deb:
        """Return the same with another content of one file."""
        return replace(self, data=tuple(replace(e, content=content) if e.name == name else e for e in self.data))

    def with_entry(self, which: str, /, **changes: object) -> Deb:
        """Return the same with other attributes of one member."""
        return replace(
            self,
            data=tuple(replace(e, **changes) if e.name == which else e for e in self.data),  # type: ignore[arg-type]
        )

    def build(self) -> bytes:
        """Return the bytes of the .deb."""
        control = (
            Entry(name="./", mode=0o755, type=tarfile.DIRTYPE),
            Entry(name="./control", content=self.control.encode()),
            Entry(name="./md5sums", content=self.md5sums if self.stale_md5sums is None else self.stale_md5sums),
            *self.scripts,
        )
        suffix = {"none": "", "xz": ".xz", "gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2"}[self.compression]
        return make_ar(
            (
                ("debian-binary", b"2.0\n"),
                (f"control.tar{suffix}", compress(make_tar(control), self.compression, self.preset)),
                (f"data.tar{suffix}", compress(make_tar(self.data), self.compression, self.preset)),
                *self.extra,
            ),
            mtime=self.ar_mtime,
        )

    def write(self, path: Path) -> Path:
        """Write the .deb."""
        path.write_bytes(self.build())
        return path


def make_tar(entries: tuple[Entry, ...], *, format: int = tarfile.GNU_FORMAT) -> bytes:  # noqa: A002 - tarfile's word
    """Make a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.size, info.mode, info.type, info.linkname = len(entry.content), entry.mode, entry.type, entry.link
            info.mtime, info.uid, info.gid, info.uname, info.gname = entry.mtime, entry.uid, 0, entry.user, "root"
            info.pax_headers = entry.pax
            archive.addfile(info, io.BytesIO(entry.content))
    return stream.getvalue()


def make_ar(members: tuple[tuple[str, bytes], ...], *, mtime: int = EPOCH) -> bytes:
    """Make an ar archive as dpkg-deb writes it."""
    data = b"!<arch>\n"
    for name, content in members:
        data += f"{name:<16}{mtime:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        data += content + b"\n" * (len(content) % 2)
    return data


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def compress(data: bytes, compression: str, preset: int = 6) -> bytes:
    """One compressed stream."""
    match compression:
        case "xz":
            return lzma.compress(data, preset=preset)
        case "gzip":
            return gzip.compress(data, preset, mtime=0)
        case "zstd":
            return zstandard.ZstdCompressor(level=preset, write_checksum=True).compress(data)
        case "bzip2":
            return bz2.compress(data, preset)
        case _:
            return data


def gzip_member(content: bytes, *, flags: int = 0, fields: bytes = b"", date: int = 0, level: int = 9) -> bytes:
    """One gzip member with whatever optional header fields."""
    coder = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = coder.compress(content) + coder.flush()
    header = struct.pack("<2s2BIBB", b"\x1f\x8b", 8, flags, date, 2, 3) + fields
    return header + body + struct.pack("<2I", zlib.crc32(content), len(content))


def with_gzip_data(deb: Deb, packed: bytes) -> bytes:
    """Return a .deb whose data.tar.gz is these bytes."""
    data = deb.build()
    start = data.index(b"data.tar.gz")
    return data[: start + 48] + f"{len(packed):<10}`\n".encode() + packed + b"\n" * (len(packed) % 2)


def elf_section(data: bytes, name: str) -> tuple[int, int]:
    """File offset and size of a section of a little-endian ELF64 file."""
    table, size, count, names = struct.unpack_from("<Q10xHHH", data, 0x28)
    headers = [struct.unpack_from("<2I4Q2I2Q", data, table + size * index) for index in range(count)]
    strings = headers[names][4]
    for header in headers:
        start = strings + header[0]
        if data[start : data.index(b"\0", start)] == name.encode():
            return header[4], header[5]
    raise KeyError(name)


def with_other_build_id(data: bytes) -> bytes:
    """Return the same ELF file as a linker would write it had its debug information been different."""
    note, size = elf_section(data, ".note.gnu.build-id")
    old = data[note + 16 : note + size]
    new = hashlib.sha1(old, usedforsecurity=False).digest()[: len(old)]
    data = data[: note + 16] + new + data[note + size :]
    link, size = elf_section(data, ".gnu_debuglink")
    content = data[link : link + size].replace(old.hex()[2:].encode(), new.hex()[2:].encode())
    content = content[:-4] + b"\x01\x02\x03\x04"
    return data[:link] + content + data[link + size :]


def flipped(data: bytes, offset: int) -> bytes:
    """Return the same with one byte changed."""
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def sample() -> Deb:
    """Make a package with a program, a library of text, documentation, a link and a script."""
    changelog = gzip.compress(b"sample (1.0-1) unstable; urgency=low\n", 9, mtime=0)
    return Deb(
        data=(
            Entry(name="./", mode=0o755, type=tarfile.DIRTYPE),
            Entry(name="./usr/", mode=0o755, type=tarfile.DIRTYPE),
            Entry(name="./usr/bin/", mode=0o755, type=tarfile.DIRTYPE),
            Entry(name="./usr/bin/sample", content=ELF.read_bytes(), mode=0o755),
            Entry(name="./usr/bin/tool", content=b"#!/bin/sh\necho one\n", mode=0o755),
            Entry(name="./usr/bin/alias", type=tarfile.SYMTYPE, link="sample", mode=0o777),
            Entry(name="./usr/share/doc/sample/changelog.Debian.gz", content=changelog),
            Entry(name="./usr/share/doc/sample/README", content=b"Read me.\nBuilt with care.\n"),
        ),
        scripts=(Entry(name="./postinst", content=b"#!/bin/sh\nset -e\nexit 0\n", mode=0o755),),
    )
