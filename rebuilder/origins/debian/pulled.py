"""Base images that are pulled by digest instead of being bootstrapped: which packages they hold, by signed digest.

The registry and whoever pushed an image are not trusted. Its id is fixed by the digest in its reference; the packages
that its dpkg database lists must all be named by verified indices, which give the digests. What this cannot show is
that the image's files are those packages': a lock of a pulled image says `pulled`, and so does all that rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.build.container import Engine
from rebuilder.build.once import run_once
from rebuilder.errors import DigestMismatch, EnvironmentUnavailable, HostileInput, UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Limits, Package, Pulled
from rebuilder.origins.debian import apt
from rebuilder.origins.debian.exact import suites_of
from rebuilder.origins.debian.recipe import load_image_recipe
from rebuilder.origins.debian.snapshot import Snapshot, Sought
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version
from rebuilder.origins.debian.view import SuiteView

Identity = tuple[str, str, str]
"""Name, version and architecture of an installed package."""

_FORMAT = "${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\n"
_ABSENT = frozenset({"not-installed", "config-files"})
"""States (dpkg(1)) of a package of which no program is there."""
_NEEDED = ("apt", "dpkg")
"""What prepares an environment inside the image."""
_LIMITS = Limits(memory_bytes=512 * 1024**2, pids=64, wall_s=60)
_PACKAGES_LIMIT = 5000
_NAMED = 5


def installed_in(engine: Engine, image: Digest) -> tuple[Identity, ...]:
    """Ask the dpkg-query of an image, in a container without network, what is installed there, sorted.

    Raise EnvironmentUnavailable when it has none or has no apt, HostileInput for an answer that dpkg never gives.
    """
    finished = run_once(engine, image, ("dpkg-query", "--show", f"--showformat={_FORMAT}"), files={}, limits=_LIMITS)
    if finished.status != 0:
        words = " ".join(finished.errors.decode("utf-8", "replace").split())[:200]
        raise EnvironmentUnavailable(
            f"image {image.short} cannot list its packages (status {finished.status}): {words or 'no message'}",
            hint="a base image is of Debian and of this machine's architecture, with dpkg and apt",
        )
    found = parse_installed(finished.output)
    lacking = [name for name in _NEEDED if name not in {name for name, _, _ in found}]
    if lacking:
        raise EnvironmentUnavailable(
            f"image {image.short} has no {' and no '.join(lacking)}", hint="environments are prepared inside it by apt"
        )
    return found


def parse_installed(output: bytes) -> tuple[Identity, ...]:
    """Read dpkg-query's answer, which comes out of an image that nobody vouches for yet."""
    lines = output.decode("utf-8", "replace").splitlines()
    if len(lines) > _PACKAGES_LIMIT:
        raise HostileInput(f"the image lists {len(lines)} packages; at most {_PACKAGES_LIMIT} are read")
    found = [identity for line in lines if (identity := _identity(line)) is not None]
    if len(set(found)) != len(found):
        raise HostileInput("the image lists a package twice")
    return tuple(sorted(found))


def lock_of(
    view: SuiteView, pulled: Pulled, installed: Sequence[Identity], snapshot: Snapshot | None = None
) -> ImageLock:
    """Make the lock of a pulled image: each package that it lists, with the digest that a verified index gives.

    1. What the suite's indices list. 2. The rest is looked up in the signed indices of the past, where a snapshot
    archive is configured. Raise UntrustedError that names what no index does.
    """
    # 1.
    listed: dict[Identity, Package] = {}
    for package in view.find_packages({name for name, _, _ in installed}):
        identity = identity_of(package)
        if listed.setdefault(identity, package).digest != package.digest:
            raise UntrustedError(f"the indices of {view.suite} list {' '.join(identity)} with two digests")
    missing = [identity for identity in installed if identity not in listed]
    # 2.
    if missing and snapshot is not None:
        sought = [Sought(name=name, version=version, architecture=each) for name, version, each in missing]
        for package in snapshot.find(sought, suites_of(view)).packages.values():
            listed.setdefault(identity_of(package), package)
        missing = [identity for identity in installed if identity not in listed]
    if missing:
        raise UntrustedError(
            f"image {pulled.reference} holds {_named(missing)}: no signed index of {view.suite} names"
            f" {'it' if len(missing) == 1 else 'them'}" + (", nor does the snapshot archive" if snapshot else ""),
            hint="take another image, or a suite whose indices still list them"
            + ("" if snapshot else "; for what was listed once, set debian.snapshot"),
        )
    return ImageLock(
        distribution=load_image_recipe().distribution,
        suite=view.suite,
        architecture=view.architecture,
        epoch=view.epoch,
        installer="",
        packages=apt.in_order(listed[identity] for identity in installed),
        pulled=pulled,
    )


def verify_image(pulled: Pulled, image: Digest) -> None:
    """Raise DigestMismatch unless the image that came is the one that was recorded."""
    if image != pulled.image:
        raise DigestMismatch(
            f"pulling {pulled.reference} gave image {image.short}; its lock says {pulled.image.short}",
            hint="a digest that stands for several architectures gives each machine another image: lock it anew here",
        )


def differences(lock: ImageLock, installed: Sequence[Identity]) -> tuple[Identity, ...]:
    """Return the packages that only one of the two has: the lock, or the image."""
    return tuple(sorted({identity_of(package) for package in lock.packages} ^ set(installed)))


def verify_packages(lock: ImageLock, installed: Sequence[Identity]) -> None:
    """Raise UntrustedError unless an image holds what its lock says, no more and no less."""
    odd = differences(lock, installed)
    if odd:
        raise UntrustedError(f"the pulled image holds other packages than its lock: {_named(odd)}")


def identity_of(package: Package) -> Identity:
    """Name a package as dpkg does."""
    return package.name, package.version, package.architecture


def _identity(line: str) -> Identity | None:
    status, *rest = line.split("\t")
    if len(rest) != len(("name", "version", "architecture")):
        raise HostileInput(f"not an answer of dpkg-query: {line[:80]!r}")
    if status in _ABSENT:
        return None
    name, version, architecture = rest
    if status != "installed":
        raise HostileInput(f"the image holds {name[:60]!r} in the state {status[:40]!r}, which is not `installed`")
    check_name(name)
    check_version(version)
    if not ARCHITECTURE.match(architecture):
        raise HostileInput(f"not an architecture: {architecture[:80]!r}")
    return name, version, architecture


def _named(packages: Sequence[Identity]) -> str:
    first = ", ".join(" ".join(identity) for identity in packages[:_NAMED])
    return first + (f" and {len(packages) - _NAMED} more" if len(packages) > _NAMED else "")
