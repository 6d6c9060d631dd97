"""Publishing a withdrawal: one more document beside those of its result, and then everything that is made from them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rebuilder.attest.withdrawal import peek
from rebuilder.errors import StorageFailure
from rebuilder.model.withdrawal import FILE_NAME
from rebuilder.publish import scan
from rebuilder.publish.render import PENDING, render_everything, render_package
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
        unfinished = (root / PENDING).exists()
        if result.withdrawal is None:
            area.write(PENDING, b"")
            area.write(place, document)
        elif (root / place).read_bytes() != document:
            raise StorageFailure(
                f"{path} was withdrawn already, by another document: {digest_of(root / place)}",
                hint="a result is withdrawn once; what was published is never edited",
            )
        if unfinished:
            render_everything(area)
        else:
            render_package(area, scan.load(root, path))
        area.remove(PENDING)
    return root / place
