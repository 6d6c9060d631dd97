"""Which origin answers a question: one line an ecosystem."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.config import Settings
from rebuilder.origins import ecosystems
from rebuilder.origins.debian import target as debian_target
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.origin import Origin, Question
from rebuilder.progress import Progress
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import Fetcher

_ORIGINS = {"deb": DebianOrigin}


def origin_for(
    question: Question, settings: Settings, fetcher: Fetcher, blobs: LocalBlobs, progress: Progress
) -> Origin:
    """Return the origin of the ecosystem that a target names (the purl type); raise UsageError if there is none."""
    return origin_of(ecosystem_of(question), settings, fetcher, blobs, progress)


def origin_of(ecosystem: str, settings: Settings, fetcher: Fetcher, blobs: LocalBlobs, progress: Progress) -> Origin:
    """Return the origin of an ecosystem by its purl type; raise UsageError if there is none."""
    make = _ORIGINS.get(ecosystem)
    if make is None:
        raise ecosystems.unknown(ecosystem, _ORIGINS)
    return make(settings, fetcher, blobs, progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A target by its parts, before anybody was asked whether it exists."""

    target: str
    """Canonical package URL."""
    ecosystem: str
    suite: str
    name: str
    architectures: tuple[str, ...]
    """Of the packages that it is about, as `Catalogues.open` takes them; a source package is one for any machine."""


def named(text: str) -> Named:
    """Read a target without looking for it; raise UsageError for one that is malformed or of no known ecosystem."""
    ecosystem = ecosystem_of(Question(target=text))
    if ecosystem != "deb":
        raise ecosystems.unknown(ecosystem, _ORIGINS)
    parsed = debian_target.parse(text)
    return Named(
        target=parsed.purl,
        ecosystem=ecosystem,
        suite=parsed.suite,
        name=parsed.name,
        architectures=("all" if parsed.is_source else parsed.architecture,),
    )


def ecosystem_of(question: Question) -> str:
    """The purl type that a question is about: of its target, else by its artifact's file name."""
    if not question.target and question.artifact is not None:
        return question.artifact.suffix.removeprefix(".") or "?"
    return ecosystems.named_in(question.target)
