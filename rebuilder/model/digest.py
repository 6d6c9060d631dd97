"""A digest is a value of its own, never a bare string."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest (FIPS 180-4). Weaker algorithms are never accepted as identity."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.match(self.hex):
            raise ValueError(f"not a SHA-256 in lower-case hexadecimal: {self.hex[:80]!r}")

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first twelve hexadecimal digits, for people and for file names, never for comparison."""
        return self.hex[:12]

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Hash bytes in memory."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:<hex>`; raise ValueError on anything else."""
        prefix, _, value = text.partition(":")
        if prefix != "sha256":
            raise ValueError(f"not a sha256: digest: {text[:80]!r}")
        return cls(value)
