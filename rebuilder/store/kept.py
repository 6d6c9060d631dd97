"""Values that are kept to save work: whatever is wrong with one, it is made again."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model import codec
from rebuilder.world import files

Kind = TypeVar("Kind")

_LIMIT_BYTES = 8 * 1024**2


def load_kept(path: Path, kind: type[Kind]) -> Kind | None:
    """Read a value that `files.write_atomically` kept as `codec.render` wrote it; None for one absent or damaged."""
    try:
        return codec.parse(files.read(path, limit_bytes=_LIMIT_BYTES), kind)
    except (HostileInput, StorageFailure):
        return None
