"""Fields of one 512-byte tar header, and what is unusual about how they were written.

Specification: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format" (base-256 numbers).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rebuilder.errors import HostileInput

BLOCK = 512
_USTAR = b"ustar\x0000"
_GNU = b"ustar  \0"


@dataclass(frozen=True, slots=True, kw_only=True)
class TarHeader:
    """One header block, parsed; numbers that do not fit their field were in base 256."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    flag: bytes
    link: bytes
    user: bytes
    group: bytes
    device: tuple[int, int]
    quirks: tuple[str, ...] = field(default=())
    """How this differs from what the field's value is commonly written as; part of the comparison."""


def parse_header(block: bytes) -> TarHeader:
    """Read a header block whose checksum is right; raise HostileInput otherwise."""
    _verify_checksum(block)
    quirks: list[str] = []
    magic = block[257:265]
    if magic not in {_USTAR, _GNU}:
        quirks.append(f"magic {magic.hex()}")
    name = _text(block, 0, 100, quirks)
    prefix = _text(block, 345, 500, quirks) if magic == _USTAR else b""
    rest = block[500:512] if magic == _USTAR else block[345:512]
    if rest.strip(b"\0"):
        quirks.append(f"reserved {rest.hex()}")
    if magic == _GNU:
        quirks.append("gnu")
    return TarHeader(
        name=prefix + b"/" + name if prefix else name,
        mode=_number(block, 100, 108, quirks),
        uid=_number(block, 108, 116, quirks),
        gid=_number(block, 116, 124, quirks),
        size=_number(block, 124, 136, quirks),
        mtime=_number(block, 136, 148, quirks),
        flag=block[156:157],
        link=_text(block, 157, 257, quirks),
        user=_text(block, 265, 297, quirks),
        group=_text(block, 297, 329, quirks),
        device=(_number(block, 329, 337, quirks), _number(block, 337, 345, quirks)),
        quirks=tuple(quirks),
    )


def _verify_checksum(block: bytes) -> None:
    total = sum(block) - sum(block[148:156]) + 8 * 0x20
    stored = _octal(block[148:156])
    if stored == total:
        return
    signed = total - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
    if stored != signed:
        raise HostileInput("a tar header's checksum is wrong")


def _text(block: bytes, start: int, end: int, quirks: list[str]) -> bytes:
    value, _, rest = block[start:end].partition(b"\0")
    if rest.strip(b"\0"):
        quirks.append(f"after-nul@{start} {rest.hex()}")
    return value


def _number(block: bytes, start: int, end: int, quirks: list[str]) -> int:
    raw = block[start:end]
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big", signed=False) - (0x80 << 8 * (len(raw) - 1))
        if raw[0] == 0xFF:
            value = int.from_bytes(raw, "big", signed=True)
        quirks.append(f"base-256@{start}")
        return value
    value = _octal(raw)
    if raw != f"{value:0{len(raw) - 1}o}".encode() + b"\0" and raw.strip(b"\0"):
        quirks.append(f"digits@{start} {raw.hex()}")
    return value


def _octal(raw: bytes) -> int:
    digits = raw.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    try:
        return int(digits.decode("ascii"), 8) if digits.isdigit() else _refuse(raw)
    except ValueError:
        return _refuse(raw)


def _refuse(raw: bytes) -> int:
    raise HostileInput(f"a tar header holds {raw!r} where an octal number belongs")
