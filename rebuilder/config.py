"""Settings: the only module that reads the environment and `rebuilder.toml`.

Order, later wins: built-in defaults, the file (`--config`, else `./rebuilder.toml`, else `$XDG_CONFIG_HOME/rebuilder/rebuilder.toml`),
environment variables `REBUILDER_…`, command-line options. An unknown key is refused, every fault is reported at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import platformdirs

from rebuilder.errors import ConfigurationError
from rebuilder.model.plan import Limits

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One package archive that the host may fetch from."""

    label: str
    """How documents name it, for instance `debian` or `debian-security`; never a host name."""
    uri: str
    suites: tuple[str, ...]
    """Which suites it carries; `*` for any."""
    components: tuple[str, ...] = ("main",)
    keyrings: tuple[Path, ...] = ()
    """Certificates that may sign its InRelease; empty means the distribution's archive keyring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSettings:
    """Where Debian releases come from."""

    archives: tuple[Archive, ...] = ()
    """Empty: learnt from the machine's own apt configuration."""
    snapshot: str | None = None
    """Base address of a snapshot archive, for versions that the mirrors no longer carry."""
    buildinfo_pool: str | None = None
    """Base address of a .buildinfo pool, or None."""
    archive_keyring: Path = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    developer_keyrings: tuple[Path, ...] = (
        Path("/usr/share/keyrings/debian-keyring.gpg"),
        Path("/usr/share/keyrings/debian-maintainers.gpg"),
        Path("/usr/share/keyrings/debian-nonupload.gpg"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What must hold before something is built, and what a reader's gate accepts. Strict by default."""

    accept_expired: bool = False
    """Accept a signed index past its Valid-Until; the evidence then says so."""
    unknown_freshness_max_age: timedelta = timedelta(days=365)
    """How old the Date of an index without Valid-Until may be."""
    accept_rollback: bool = False
    """Accept an index older than the newest one seen before from the same archive and suite."""
    dsc_signature: str = "record"
    """`record` what is found, or `require` a valid signature by a known developer on the .dsc."""
    buildinfo_signature: str = "require"
    """`record` or `require` a valid signature on a given .buildinfo."""
    second_opinion: bool = False
    """Also ask gpgv about each InRelease; disagreement refuses."""
    accept_equivalent: bool = True
    """Whether `equivalent` gives exit code 0."""
    control_rebuild: bool = True
    """Whether a difference is followed by a control rebuild."""
    withhold_artifacts: bool = False
    """Do not publish the two artifacts of a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one run."""

    cache: Path
    state: Path
    results: Path
    engine: str | None = None
    """Address of the container engine; None means DOCKER_HOST or the local socket."""
    cache_budget_bytes: int = 20 * _GIB
    """Disk budget of the downloads cache; the prepared environments have the same again."""
    jobs: int = 0
    """Parallel jobs given to a build; 0 means the machine's processors."""
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    debian: DebianSettings = field(default_factory=DebianSettings)
    report_memory_bytes: int = 2 * _GIB
    report_timeout_s: int = 600
