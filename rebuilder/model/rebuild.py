"""One run of one plan, as the builder reports it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rebuilder.model.digest import Digest
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the run happened on, as far as it may have shaped the bytes."""

    kernel: str
    cpu_model: str
    engine: str
    """Name and version of the container engine; in brackets, the limits that it does not enforce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What one run of one plan gave: (plan, builder, ordinal) names it."""

    plan: Digest
    builder: str
    """Key id of the builder key that signs this record."""
    ordinal: int
    """0 for the first run of this plan by this builder; control rebuilds count on."""
    outcome: Outcome
    reason: str
    """One sentence: why it did not succeed; empty when it did."""
    outputs: tuple[FileReference, ...]
    log: Digest
    """Blob of the build log, as captured, uncompressed."""
    environment_tree: Digest
    """SHA-256 over the exported tree of the prepared environment that was used."""
    fresh_environment: bool
    """Whether the environment was prepared anew for this run rather than taken from the cache."""
    machine: Machine
    started_at: datetime
    finished_at: datetime
