"""Settings: the only module that reads the environment and `rebuilder.toml`.

Order, later wins: built-in defaults; `DOCKER_HOST` (for the engine); the file (`--config`, else `$REBUILDER_CONFIG`,
else `./rebuilder.toml`, else `$XDG_CONFIG_HOME/rebuilder/rebuilder.toml`); environment variables `REBUILDER_…`;
command-line options. An unknown key is refused, every fault is reported at once. docs/CONFIGURATION.md lists the keys.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import platformdirs

from rebuilder.errors import ConfigurationError
from rebuilder.model import bounds, place, table
from rebuilder.model.job import ResourceClass
from rebuilder.model.plan import Limits

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One package archive that the host may fetch from."""

    label: str = field(metadata=table.checked(place.verify_label))
    """How documents name it, for instance `debian` or `debian-security`; never a host name."""
    uri: str = field(metadata=table.checked(place.verify_uri))
    suites: tuple[str, ...] = field(metadata=table.checked(place.verify_suites))
    """Which suites it carries; `*` for any."""
    components: tuple[str, ...] = field(metadata=table.checked(place.verify_suites), default=("main",))
    keyrings: tuple[Path, ...] = field(metadata=table.checked(place.verify_files), default=())
    """Certificates that may sign its InRelease; empty means the distribution's archive keyring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSettings:
    """Where Debian releases come from."""

    archives: tuple[Archive, ...] = ()
    """Empty: learnt from the machine's own apt configuration."""
    snapshot: str | None = field(metadata=table.checked(place.verify_web_address), default=None)
    """Base address of a snapshot archive, for versions that the mirrors no longer carry."""
    buildinfo_pool: str | None = field(metadata=table.checked(place.verify_uri), default=None)
    """Base address of a .buildinfo pool, or None."""
    images: tuple[tuple[str, str], ...] = field(metadata=table.checked(place.verify_images), default=())
    """Suites whose base image is pulled instead of bootstrapped, each with its image as `NAME@sha256:…`."""
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
    unknown_freshness_max_age: timedelta = field(metadata=table.checked(bounds.age), default=timedelta(days=365))
    """How old the Date of an index without Valid-Until may be."""
    accept_rollback: bool = False
    """Accept an index older than the newest one seen before from the same archive and suite."""
    dsc_signature: Literal["record", "require"] = "record"
    """`record` what is found, or `require` a valid signature by a known developer on the .dsc."""
    buildinfo_signature: Literal["record", "require"] = "require"
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
class PackageRule:
    """What the farm does with packages of certain names; the first rule that fits a name holds."""

    pattern: str = field(metadata=table.checked(place.verify_pattern))
    """Name of a source package; `*` stands for any characters, `?` for one."""
    resources: ResourceClass = ResourceClass.SMALL
    """How much of a machine its rebuild wants."""
    tags: tuple[str, ...] = ()
    """What a builder must offer besides the architecture."""
    block: str | None = None
    """Why such packages are not rebuilt at all; None for those that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRule:
    """What the farm does with one suite."""

    suite: str
    quota: int | None = field(metadata=table.checked(bounds.between(1, 1_000_000)), default=None)
    """How many rebuilds of it may run at once; None for any number."""
    recheck: timedelta | None = field(metadata=table.checked(bounds.age), default=None)
    """After how long what was concluded is looked at again; None means `farm.recheck`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarmSettings:
    """Where the parts of a farm find each other; a single machine needs none of it. docs/FARM.md explains it."""

    database: str | None = field(metadata=table.checked(place.verify_database), default=None)
    """Address of the ledger, `postgresql://USER@HOST/NAME`; None means the file in `state`."""
    database_password_file: Path | None = None
    """File whose first line is the database's password."""
    broker: str | None = field(metadata=table.checked(place.verify_broker), default=None)
    """Address of Redis without a password: `redis://USER@HOST:PORT/NUMBER`."""
    broker_password_file: Path | None = None
    """File whose first line is the broker's password."""
    coordinator: str | None = field(metadata=table.checked(place.verify_web_address), default=None)
    """Base address of the coordinator's lease API."""
    authority_file: Path | None = field(metadata=table.checked(place.verify_file), default=None)
    """Certificates (PEM) of who vouches for broker and coordinator where TLS leads to them; None: the system's."""
    blobs: str | None = None
    """The farm's blob store: a directory, or `s3://BUCKET/PREFIX`; None means the one in `cache`."""
    blobs_endpoint: str | None = field(metadata=table.checked(place.verify_web_address), default=None)
    """Address of the S3-compatible server that has the bucket."""
    blobs_key_id: str | None = None
    """Access key id for the bucket."""
    blobs_secret_file: Path | None = None
    """File whose first line is the secret of that key."""
    upload_quota_bytes: int = field(metadata=table.checked(bounds.size()), default=64 * _GIB)
    """How much a worker that is no planner may put into the blob store, at once and each day."""
    connections_per_address: int = field(metadata=table.checked(bounds.between(1, 256)), default=64)
    """How many connections the lease API takes from one address; it takes 256 in all."""
    lease_s: int = field(metadata=table.checked(bounds.seconds), default=300)
    """How long a job is held without a heartbeat."""
    heartbeat_s: int = field(metadata=table.checked(bounds.seconds), default=60)
    """How often a worker says that it still works."""
    sweep_s: int = field(metadata=table.checked(bounds.seconds), default=30)
    """How often what expired is taken back and what is owed is looked at."""
    wake_again_s: int = field(metadata=table.checked(bounds.seconds), default=600)
    """After how long workers are told again of a job that nobody claimed."""
    quorum: int = 1
    """How many builders in different fault domains must agree."""
    recheck: timedelta = field(metadata=table.checked(bounds.age), default=timedelta(days=180))
    """After how long what was concluded is looked at again."""
    recheck_regression: timedelta = field(metadata=table.checked(bounds.age), default=timedelta(days=1))
    """The same for a package that reproduced better before."""
    packages: tuple[PackageRule, ...] = ()
    suites: tuple[SuiteRule, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.quorum <= 16:
            raise ValueError(f"expected a quorum between 1 and 16, found {self.quorum}")
        if self.heartbeat_s >= self.lease_s:
            raise ValueError(
                f"expected a heartbeat shorter than the lease of {self.lease_s} s, found {self.heartbeat_s} s"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one run."""

    cache: Path
    state: Path
    results: Path
    engine: str | None = field(metadata=table.checked(place.verify_engine), default=None)
    """Address of the container engine; None means DOCKER_HOST or the local socket."""
    cache_budget_bytes: int = field(metadata=table.checked(bounds.size()), default=20 * _GIB)
    """Disk budget of the downloads cache; the prepared environments have the same again."""
    jobs: int = field(metadata=table.checked(bounds.between(0, 4096)), default=0)
    """Parallel jobs given to a build; 0 means the machine's processors."""
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    debian: DebianSettings = field(default_factory=DebianSettings)
    farm: FarmSettings = field(default_factory=FarmSettings)
    report_memory_bytes: int = field(metadata=table.checked(bounds.size()), default=2 * _GIB)
    report_timeout_s: int = field(metadata=table.checked(bounds.seconds), default=600)
    passphrase_file: Path | None = None
    """Where the passphrase of the attestation key is (first line, mode 0600); None for a key without one."""

    @property
    def blobs_dir(self) -> Path:
        """Downloads and results of stages, by digest."""
        return self.cache / "blobs"

    @property
    def incoming_dir(self) -> Path:
        """Downloads until they are verified."""
        return self.cache / "incoming"

    @property
    def indices_dir(self) -> Path:
        """Unpacked package indices, by digest."""
        return self.cache / "indices"

    @property
    def answers_dir(self) -> Path:
        """What apt answered about build-dependencies, by what it was asked."""
        return self.cache / "dependencies"

    @property
    def images_dir(self) -> Path:
        """Locks of base images, and which images were made from them."""
        return self.cache / "images"

    @property
    def prepared_dir(self) -> Path:
        """Records of the prepared environments that the engine holds."""
        return self.cache / "prepared"

    @property
    def snapshots_dir(self) -> Path:
        """What was seen of the past, apart from the memory of the present in `state`."""
        return self.cache / "snapshot"

    @property
    def scratch_dir(self) -> Path:
        """Large files of one stage: on the cache's disk, for the system's own directory may be memory."""
        return self.cache / "scratch"

    @property
    def use_lock(self) -> Path:
        """Shared by runs, held alone by who prunes the caches."""
        return self.cache / "in-use.lock"


_FILE_NAME = "rebuilder.toml"
_FILE_LIMIT_BYTES = 1024**2
_PREFIX = "REBUILDER_"


def load_settings(
    config: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Put the settings of one run together; raise ConfigurationError that names every fault.

    `overrides` maps key paths (`results`, `policy.control_rebuild`) to values from the command line; None means
    "not given". `environment` stands in for the process's own in tests.
    """
    words = os.environ if environment is None else environment
    faults: list[str] = []
    settings = _defaults(words)
    path = _config_file(config, words)
    if path is not None:
        settings = _apply(settings, _load(path), path.parent.absolute(), str(path), faults)
    settings = _apply(settings, _from_environment(words, faults), Path.cwd(), "environment", faults)
    settings = _apply(settings, _nested(overrides or {}), Path.cwd(), "command line", faults)
    if settings.engine is not None and settings.engine == words.get("DOCKER_HOST"):
        _check_general_engine(settings.engine, faults)
    if faults:
        count = "1 setting is" if len(faults) == 1 else f"{len(faults)} settings are"
        raise ConfigurationError(f"{count} wrong: {'; '.join(faults)}", hint="docs/CONFIGURATION.md lists every key")
    return settings


def recipes_dir() -> Path:
    """Where recipes and image locks are: inside the installed package, else beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "_recipes"
    return installed if installed.is_dir() else here.parent / "recipes"


def completion_wish(variable: str) -> str | None:
    """Read what a shell asks for when it completes a command line: it says so by a variable."""
    return os.environ.get(variable)


def fallback_state_dir() -> Path:
    """Where to keep what must be kept when the settings themselves cannot be read: what the environment says."""
    named = os.environ.get(_PREFIX + "STATE")
    return Path.cwd() / Path(named).expanduser() if named else platformdirs.user_state_path("rebuilder")


def _defaults(words: Mapping[str, str]) -> Settings:
    return Settings(
        cache=platformdirs.user_cache_path("rebuilder"),
        state=platformdirs.user_state_path("rebuilder"),
        results=Path.cwd() / "results",
        engine=words.get("DOCKER_HOST") or None,
    )


def _check_general_engine(address: str, faults: list[str]) -> None:
    try:
        place.verify_engine(address)
    except ValueError as error:
        faults.append(f"environment: DOCKER_HOST: {error}")


def _config_file(config: Path | None, words: Mapping[str, str]) -> Path | None:
    named = config or (Path(words[_PREFIX + "CONFIG"]) if words.get(_PREFIX + "CONFIG") else None)
    if named is not None:
        return named
    usual = (Path.cwd() / _FILE_NAME, platformdirs.user_config_path("rebuilder") / _FILE_NAME)
    return next((path for path in usual if path.is_file()), None)


def _load(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_FILE_LIMIT_BYTES + 1)
        if len(data) > _FILE_LIMIT_BYTES:
            raise ConfigurationError(
                f"{path}: longer than {_FILE_LIMIT_BYTES} bytes", hint="name the right file with --config"
            )
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror or error}", hint="name a readable file with --config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path}: not TOML: {error}", hint="texts stand in quotes; rebuilder.toml.example is a whole one"
        ) from error


def _apply(settings: Settings, values: Mapping[str, object], base: Path, source: str, faults: list[str]) -> Settings:
    reading = table.Reading(base=base, faults=[])
    settings = table.apply(settings, values, reading)
    faults.extend(f"{source}: {fault}" for fault in reading.faults)
    return settings


def _from_environment(words: Mapping[str, str], faults: list[str]) -> dict[str, object]:
    known = {_PREFIX + key.path.upper().replace(".", "_"): key for key in table.keys(Settings)}
    found: dict[str, object] = {}
    for name in sorted(words):
        if not name.startswith(_PREFIX) or name == _PREFIX + "CONFIG" or not words[name]:
            continue
        if name not in known:
            faults.append(f"environment: {name}: unknown variable{table.closest(name, list(known))}")
            continue
        try:
            found[known[name].path] = table.from_word(known[name], words[name])
        except ValueError as error:
            faults.append(f"environment: {name}: {error}")
    return _nested(found)


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, object] = {}
    for path, value in flat.items():
        if value is None:
            continue
        *parents, last = path.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})  # type: ignore[assignment]  # our own dicts only
        inner[last] = value
    return nested
