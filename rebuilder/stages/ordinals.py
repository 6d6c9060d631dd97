"""Which run of a plan, or attempt at a release, this is: counted by the ledger, never below what is published."""

from __future__ import annotations

from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Plan
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
    taken = _published(subject, f"{digest.hex[:16]}-{builder[:8]}-", world)
    return world.ledger.next_ordinal(digest, builder, world.now(), at_least=taken)


def _published(subject: Plan | Release, stem: str, world: World) -> int:
    """One more than the highest number under which a result with this stem is published; 0 if there is none."""
    places = f"*{encode_part(subject.ecosystem)}/{encode_part(subject.name)}/*/*/*{stem}*"
    numbers = [path.name.rpartition("-")[2] for path in world.settings.results.glob(places)]
    return max((int(number) + 1 for number in numbers if number.isdigit()), default=0)
