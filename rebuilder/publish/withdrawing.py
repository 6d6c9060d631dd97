"""Publishing a withdrawal: one more document beside those of its result, and then everything that is made from them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rebuilder.attest.withdrawal import peek
from rebuilder.errors import StorageFailure
from rebuilder.model.withdrawal import FILE_NAME
from rebuilder.publish import layout, scan
from rebuilder.publish.pending import mark_pending
from rebuilder.publish.render import show
from rebuilder.publish.staging import Step, keep_going, staging
from rebuilder.world.files import digest_of


def publish_withdrawal(root: Path, path: PurePosixPath, document: bytes, *, step: Step = keep_going) -> Path:
    """Lay a signed withdrawal beside its result in `path`, and make again what shows it; the same again is a no-op.

    Nothing that is published changes. Raises HostileInput for a withdrawal of something else, StorageFailure where
    another one was published. A run that is killed leaves the old or the new, and the marker `.pending`.
    """
    with staging(root, step) as area:
        result = scan.load(root, path)
        peek(document, result.dossier, digest=result.digest, identifier=result.rebuild_id)
        place = path / FILE_NAME
        if result.withdrawal is None:
            mark_pending(area, [layout.package_path(result.dossier)])
            area.write(place, document)
        elif (root / place).read_bytes() != document:
            raise StorageFailure(
                f"{path} was withdrawn already, by another document: {digest_of(root / place)}",
                hint="a result is withdrawn once; what was published is never edited",
            )
        show(area, scan.load(root, path))
    return root / place
