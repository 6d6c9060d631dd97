"""publish: signed documents into the results, all at once; the same again changes nothing."""

from __future__ import annotations

from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.publish.tree import Publication
from rebuilder.publish.tree import publish as publish_tree
from workers.documents import PublishReport, PublishTask
from workers.lease.protocol import Claim
from workers.roles.place import Place


def publish(claim: Claim, place: Place) -> Digest:
    """Fetch the task's documents by digest and publish them."""
    task = place.read(claim.input, PublishTask)
    dossier = place.read(task.dossier, Dossier)
    documents = {document.path: place.store.path(document.digest) for document in task.documents}
    publication = Publication(dossier=dossier, rebuild_id=task.rebuild_id, documents=documents)
    directory = publish_tree(publication, place.settings.results, place.store)
    return place.write(PublishReport(directory=directory.relative_to(place.settings.results).as_posix()))
