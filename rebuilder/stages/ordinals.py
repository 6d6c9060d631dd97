"""Which run of a plan, or attempt at a release, this is: counted by the ledger, never below what is published."""

from __future__ import annotations

from dataclasses import replace

from rebuilder.errors import HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Plan
from rebuilder.model.rebuild_id import RebuildId, parse
from rebuilder.model.release import Release
from rebuilder.publish.layout import encode_part
from rebuilder.stages.keys import builder_key
from rebuilder.stages.world import World


def next_ordinal(subject: Plan | Release, world: World) -> int:
    """Reserve the next number of a plan, or of a release for which nothing could be planned.

    A ledger that is younger than the results (lost, or made anew) does not lead to a name that is taken.
    """
    digest = Digest.of(codec.render(subject))
    builder = builder_key(world).keyid
    taken = _published(subject, builder, world)
    return world.ledger.next_ordinal(digest, builder, world.now(), at_least=taken)


def _published(subject: Plan | Release, builder: str, world: World) -> int:
    """One more than the highest number under which a result of this subject is published; 0 if there is none."""
    first = RebuildId.of(subject, builder=builder, ordinal=0)
    places = f"*{encode_part(subject.ecosystem)}/{encode_part(subject.name)}/*/*/{first.stem}-*"
    found = (_read(path.name) for path in world.settings.results.glob(places))
    ours = (one.ordinal for one in found if one is not None and replace(one, ordinal=0) == first)
    return max(ours, default=-1) + 1


def _read(name: str) -> RebuildId | None:
    try:
        return parse(name)
    except HostileInput:
        return None
