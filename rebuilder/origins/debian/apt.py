"""Asking apt which packages it would install, from verified indices, without network: `apt-get --print-uris`.

apt decides names, versions and where in which index they stand; digests are looked up in the index (apt prints MD5
sums, which are never used). The same layout serves the host's apt and a container's: numbered directories with one
`Packages` each, one private configuration file that leaves the machine's own configuration, lists and status alone.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from rebuilder.errors import DependencyUnavailable, HostileInput
from rebuilder.model.plan import Package
from rebuilder.origins.debian.index import IndexFile, find_packages
from rebuilder.world import process
from rebuilder.world.files import storage_errors
from rebuilder.world.scratch import prefix as scratch_prefix

_LINE = re.compile(
    r"'file:(?P<uri>[^']{1,1000})' (?P<file>[^ _']{1,255}_[^ _']{1,300}_[^ _']{1,40})\.deb [0-9]{1,15}(?: \S{0,200})?\Z"
)
_PACKAGES_LIMIT = 5000
_BUILD_ESSENTIAL = '"build-essential"; "fakeroot";'
"""What every build may use (recipes/images/debian.toml says why): a pulled image may lack it, a bootstrapped never."""
_REMOVAL = "The following packages will be REMOVED:"
_TIMEOUT_S = 180

UPDATE = ("apt-get", "-qq", "update")
"""Reads the indices in; must precede a question unless they lie where apt keeps its lists (see `list_name`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One package that apt would install."""

    name: str
    version: str
    architecture: str
    repository: int
    """Number of the repository, in the order given."""
    location: str
    """The `Filename` that the index says."""


def configuration(root: str, work: str, *, architecture: str, status: str | None) -> str:
    """Text of a private apt.conf(5): sources and preferences in `root`, everything written in `work`.

    `status` is the dpkg status file to start from; None for the system's own.
    """
    settings = {
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        "APT::Install-Suggests": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Etc::SourceList": f"{root}/sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": f"{root}/preferences",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::Etc::Parts": "/dev/null",
        "Dir::State": f"{work}/state",
        "Dir::Cache": f"{work}/cache",
        "Dir::Log": f"{work}/log",
        "Dpkg::Use-Pty": "false",
        **({"Dir::State::Status": status} if status else {}),
    }
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    lines += [f'APT::Architectures {{"{architecture}";}};', f"APT::Build-Essential {{{_BUILD_ESSENTIAL}}};"]
    return "\n".join([*lines, ""])


def sources_list(root: str, count: int) -> str:
    """Text of a sources.list(5) that names `count` flat repositories under `root`.

    `trusted=yes` is the truth: each index was verified against a signed InRelease before it came here.
    """
    return "".join(f"deb [trusted=yes] file:{root}/{number} ./\n" for number in range(count))


def list_name(root: str, number: int) -> str:
    """Name the list of a repository of `sources_list` as apt does (URItoFileName); `root` holds letters and slashes."""
    return f"{root.replace('/', '_')}_{number}_._Packages"


def preferences(versions: Mapping[str, str]) -> str:
    """Text of an apt_preferences(5) that makes exactly these versions the candidates, downgrades included."""
    return "\n".join(
        f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n" for name, version in sorted(versions.items())
    )


def parse_uris(output: bytes, root: str) -> tuple[Choice, ...]:
    """Read what --print-uris wrote about repositories under `root`; raise HostileInput for what apt never writes."""
    text = output.decode("utf-8", "replace")
    if _REMOVAL in text:
        removed = " ".join(text.partition(_REMOVAL)[2].partition("\nThe ")[0].split())[:200]
        raise DependencyUnavailable(f"installing would remove packages of the base image: {removed}")
    lines = [line.strip() for line in text.splitlines() if line.startswith("'")]
    if len(lines) > _PACKAGES_LIMIT:
        raise HostileInput(f"{len(lines)} packages to install; at most {_PACKAGES_LIMIT} are")
    return tuple(_choice(line, root) for line in lines)


def identify(choices: Sequence[Choice], indices: Sequence[IndexFile]) -> tuple[Package, ...]:
    """Return the verified packages that apt chose, with the digests of the signed index, sorted by name.

    Raise DependencyUnavailable when the index has no such paragraph: then apt and we do not read the same index.
    """
    found: dict[tuple[int, str], Package] = {}
    for number, index in enumerate(indices):
        names = {choice.name for choice in choices if choice.repository == number}
        for stanza in find_packages(index, names) if names else ():
            found[number, str(stanza.package.location)] = stanza.package
    packages = []
    for choice in choices:
        package = found.get((choice.repository, choice.location))
        if package is None or (package.name, package.version, package.architecture) != (
            choice.name,
            choice.version,
            choice.architecture,
        ):
            raise DependencyUnavailable(
                f"apt chose {choice.name} {choice.version}, which the signed index does not list"
            )
        packages.append(package)
    return in_order(packages)


def in_order(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Sort packages as locks and plans list them."""
    return tuple(sorted(packages, key=lambda package: (package.name, package.architecture, package.version)))


def ask_host(
    paths: Sequence[Path], wanted: Sequence[str], *, architecture: str, versions: Mapping[str, str] | None = None
) -> tuple[Choice, ...]:
    """Ask this machine's apt what installing `wanted` on nothing at all would bring.

    `paths` are uncompressed, verified Packages files; `versions` are forced on the packages they name. Raise
    DependencyUnavailable with apt's own words when it cannot be.
    """
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("apt")) as name, storage_errors(Path(name)):
        root = Path(name)
        for number, path in enumerate(paths):
            (root / str(number)).mkdir()
            (root / str(number) / "Packages").symlink_to(path.resolve())
        for directory in ("state/lists/partial", "cache/archives/partial", "log"):
            (root / directory).mkdir(parents=True)
        (root / "status").write_bytes(b"")
        (root / "sources.list").write_text(sources_list(name, len(paths)))
        (root / "preferences").write_text(preferences(versions or {}))
        text = configuration(name, name, architecture=architecture, status=f"{name}/status")
        (root / "apt.conf").write_text(text)
        environment = {"APT_CONFIG": f"{name}/apt.conf"}
        for command in (UPDATE, ("apt-get", "-q", "-y", "--print-uris", "install", *wanted)):
            finished = process.run(command, timeout_s=_TIMEOUT_S, environment=environment)
            if finished.status != 0:
                raise DependencyUnavailable(
                    f"apt cannot choose the packages: {last_words(finished.output, finished.errors)}"
                )
        return parse_uris(finished.output, name)


def last_words(output: bytes, errors: bytes) -> str:
    """Say in one line what apt said went wrong: its unmet dependencies, else its errors; bounded, printable."""
    lines = output.decode("utf-8", "replace").splitlines()
    start = next((number for number, line in enumerate(lines) if "unmet dependencies" in line), len(lines))
    unmet = [line.strip() for line in lines[start + 1 : start + 6] if line.startswith(" ")]
    said = [
        line.removeprefix("E: ") for line in errors.decode("utf-8", "replace").splitlines() if line.startswith("E: ")
    ]
    words = "; ".join(unmet or said[:5]) or "no message"
    return "".join(letter if letter.isprintable() else "?" for letter in words)[:600]


def _choice(line: str, root: str) -> Choice:
    match = _LINE.match(line)
    if match is None:
        raise HostileInput(f"unreadable answer of apt: {line[:120]!r}")
    path = posixpath.normpath(unquote(match["uri"]))
    number, _, location = path.removeprefix(posixpath.normpath(root) + "/").partition("/")
    if not path.startswith(posixpath.normpath(root) + "/") or not number.isdecimal() or not location:
        raise HostileInput(f"apt names a file outside the verified repositories: {line[:120]!r}")
    name, version, architecture = (unquote(part) for part in match["file"].split("_"))
    return Choice(name=name, version=version, architecture=architecture, repository=int(number), location=location)
