"""The end of a compressed build log, read within bounds."""

from __future__ import annotations

from pathlib import Path

import zstandard

from rebuilder.world.files import storage_errors

_BLOCK = 256 * 1024
_READ_LIMIT_BYTES = 256 * 1024**2
_WINDOW_LIMIT_BYTES = 128 * 1024**2


def tail(path: Path, *, lines: int = 60, limit_bytes: int = 16 * 1024) -> str:
    """Return the last lines of a zstd-compressed log; a note in its place where it cannot be read."""
    kept = b""
    total = 0
    try:
        with storage_errors(path), path.open("rb") as stream:
            reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT_BYTES).stream_reader(stream)
            while total < _READ_LIMIT_BYTES and (block := reader.read(_BLOCK)):
                total += len(block)
                kept = (kept + block)[-limit_bytes:]
    except zstandard.ZstdError:
        return "(the log cannot be decompressed)"
    if total >= _READ_LIMIT_BYTES:
        return "(the log is too long to be shown here)"
    return "\n".join(kept.decode("utf-8", "replace").splitlines()[-lines:])
