"""publish: signed documents into the results, all at once; the same again changes nothing.

A result's own pages are made with it. The lists of everything grow with everything, so a publisher that has much to do
makes them for many results at once: now and then while it works, and when nothing is left to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.publish.render import render_first, render_pending
from rebuilder.publish.tree import Publication
from rebuilder.publish.tree import publish as publish_tree
from workers.documents import PublishReport, PublishTask
from workers.lease.protocol import Claim
from workers.roles.place import Place

_PAUSE_S = 5.0
_SHARE = 5
"""While there is work, lists take at most every such part of the time."""


def publish(claim: Claim, place: Place, *, lists_too: bool = True) -> Digest:
    """Fetch the task's documents by digest and publish them."""
    task = place.read(claim.input, PublishTask)
    dossier = place.read(task.dossier, Dossier)
    documents = {document.path: place.store.path(document.digest) for document in task.documents}
    publication = Publication(dossier=dossier, rebuild_id=task.rebuild_id, documents=documents)
    results = place.settings.results
    directory = publish_tree(publication, results, place.store, lists_too=lists_too)
    return place.write(PublishReport(directory=directory.relative_to(results).as_posix()))


class Publisher:
    """Publishes one result after the other. What it leaves to be listed is marked so, and outlives it."""

    def __init__(self, results: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._results = results
        self._clock = clock
        self._due = clock()

    def publish(self, claim: Claim, place: Place) -> Digest:
        """See `publish`; with the lists when they are due."""
        began = self._clock()
        lists_too = began >= self._due
        report = publish(claim, place, lists_too=lists_too)
        if lists_too:
            self._listed(began)
        return report

    def rest(self) -> None:
        """Make the lists, if anything is not in them or there are none: readers find pages before the first result."""
        began = self._clock()
        if render_pending(self._results) or render_first(self._results):
            self._listed(began)

    def _listed(self, began: float) -> None:
        now = self._clock()
        self._due = now + max(_PAUSE_S, (_SHARE - 1) * (now - began))
