"""Which packages a source's build needs beyond its base image: the suite's own apt computes it, without network.

The container sees the base image, the verified indices and the .dsc, nothing else. What apt answers is a choice of
names and versions; the digests come from the signed indices (see `apt`). The profile is the one of a buildd: no
DEB_BUILD_PROFILES, and only the build-dependencies of the kind that is built (-B or -A).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rebuilder.build.container import Engine
from rebuilder.build.once import INPUT, run_once
from rebuilder.errors import DependencyUnavailable
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.origins.debian import apt
from rebuilder.origins.debian.index import IndexFile, named
from rebuilder.store.kept import load_kept
from rebuilder.world import files

_DSC = f"{INPUT}/source.dsc"
_WORK = "/tmp/apt"  # noqa: S108 - inside the container, in memory


class Kind(StrEnum):
    """What a build makes: Debian's two kinds of binary packages, built apart by buildds."""

    ANY = "any"
    """Of one architecture: dpkg-buildpackage -B."""
    ALL = "all"
    """Of every architecture: dpkg-buildpackage -A."""

    @classmethod
    def of(cls, architecture: str) -> Kind:
        """Tell the kind from a binary package's architecture."""
        return cls.ALL if architecture == "all" else cls.ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of apt: the build-dependencies of one kind of one source."""

    dsc: Digest
    """Of the .dsc's bytes, verified against the signed source index."""
    path: Path
    """Where these bytes lie."""
    kind: Kind
    architecture: str
    """Of the build: `amd64`; for arch:all packages too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    choices: tuple[apt.Choice, ...]


def build_dependencies(
    engine: Engine, image: Digest, indices: Sequence[IndexFile], wish: Wish, *, answers: Path
) -> tuple[Package, ...]:
    """Return the packages to add to the base image, verified, sorted by name.

    apt's choice is kept under `answers` and used again for the same image, indices and .dsc; the digests are looked up
    each time. Raise DependencyUnavailable with apt's words when the build-dependencies cannot be satisfied from the
    indices, or not without removing packages of the base image.
    """
    kept = answers / f"{_key(image, indices, wish).hex}.json"
    answer = load_kept(kept, _Answer)
    if answer is None:
        answer = _Answer(choices=_ask(engine, image, indices, wish))
        files.write_atomically(kept, codec.render(answer))
    return apt.identify(answer.choices, indices)


def _ask(engine: Engine, image: Digest, indices: Sequence[IndexFile], wish: Wish) -> tuple[apt.Choice, ...]:
    finished = run_once(
        engine, image, ("sh", "-c", _script(wish.kind)), files=_inputs(indices, wish), environment=_ENVIRONMENT
    )
    if finished.status != 0:
        words = apt.last_words(finished.output, finished.errors).replace(f"builddeps:{_DSC} : ", "")
        raise DependencyUnavailable(
            f"build-dependencies ({wish.kind}): {words}",
            hint="does the suite still carry what this source was built with? A .buildinfo and a snapshot archive may",
        )
    return apt.parse_uris(finished.output, INPUT)


_ENVIRONMENT = (("APT_CONFIG", f"{INPUT}/apt.conf"), ("DEBIAN_FRONTEND", "noninteractive"))


def _script(kind: Kind) -> str:
    """Ask at once, without `update`: it would only hash and copy lists that lie where apt looks for them."""
    option = "--indep-only" if kind is Kind.ALL else "--arch-only"
    return (
        f"mkdir -p {_WORK}/state {_WORK}/cache/archives/partial {_WORK}/log"
        f" && exec apt-get -q -y --print-uris {option} build-dep {_DSC}"
    )


def _inputs(indices: Sequence[IndexFile], wish: Wish) -> Mapping[str, bytes | Path]:
    configuration = apt.configuration(INPUT, _WORK, architecture=wish.architecture, status="/var/lib/dpkg/status")
    return {
        "apt.conf": f'{configuration}Dir::State::Lists "{INPUT}/lists";\n'.encode(),
        "preferences": b"",
        "sources.list": apt.sources_list(INPUT, len(indices)).encode(),
        "source.dsc": wish.path,
        **{f"lists/{apt.list_name(INPUT, number)}": index.path for number, index in enumerate(indices)},
    }


def _key(image: Digest, indices: Sequence[IndexFile], wish: Wish) -> Digest:
    """Everything that the answer depends on; where an index lies and what its archive is called belong to it."""
    read = named(indices)
    return Digest.of(
        codec.render(["build-dependencies/1", str(image), read, str(wish.dsc), wish.kind, wish.architecture])
    )
