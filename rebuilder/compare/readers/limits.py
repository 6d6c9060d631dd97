"""How much a reader takes before it refuses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Bounds for everything that is unpacked from one file, nested containers included."""

    total_bytes: int = 4 * 1024**3
    """Unpacked bytes in all; they go to an unnamed scratch file."""
    ratio: int = 1000
    """Unpacked bytes for each packed one, once more than `ratio_free_bytes` came out."""
    ratio_free_bytes: int = 64 * 1024**2
    depth: int = 8
    """Containers within containers; a .deb's compressed tar takes three."""
    members: int = 400_000
    nested: int = 1000
    """Containers inside a container that a package ships as a file; a few bytes can nest a quarter of a million."""
    name_bytes: int = 4096
    header_bytes: int = 1024**2
    """One member's extended header (long name, pax records, zip extra field)."""
    decoder_memory_bytes: int = 160 * 1024**2
    """What a decompressor may ask for; `xz -9` needs 65 MiB, `zstd --ultra -22` 128 MiB."""
