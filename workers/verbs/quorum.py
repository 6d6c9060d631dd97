"""A quorum that this farm cannot reach is said when it is asked for, not found out when everything waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.verbs.place import counted, note, now

if TYPE_CHECKING:
    from rebuilder.store.database import Database
    from rebuilder.store.quorums import Domains, Wanted

MOST = 16
"""How many builders a quorum may be of, as in `farm.quorum`."""
HINT = (
    "enrol builders in other fault domains (`rebuilder workers token --role rebuild --domain WORD`), or ask for fewer"
)


def look_at_quorum(wanted: Wanted, database: Database, *, what: str = "") -> Domains | None:
    """Return how many fault domains there are where they are too few for a quorum, and say so on stderr.

    It is no refusal: builders may be enrolled later, and what waits for them is not lost. One builder is no quorum.
    """
    from rebuilder.store.quorums import count_domains  # noqa: PLC0415 - the database library is slow to load
    from rebuilder.store.workers import Workers  # noqa: PLC0415 - as above

    domains = count_domains(Workers(database).every(), wanted, now())
    if wanted.quorum == 1 or domains.live >= wanted.quorum:
        return None
    said = (
        f"{what}a quorum of {wanted.quorum} cannot be reached now: {there_are(domains, wanted)}; the rebuilds will wait"
    )
    note(said, HINT)
    return domains


def there_are(domains: Domains, wanted: Wanted) -> str:
    """Say which builders there are for what is wanted."""
    words = [wanted.resources.value] if wanted.resources is not None else []
    what = " ".join((*words, *wanted.tags))
    builders = f"live builders for {what}" if what else "live builders"
    silent = domains.enrolled - domains.live
    more = f", silent ones in {silent} more" if silent else ""
    return f"{builders} in {counted(domains.live, 'fault domain')}{more}"
