"""sign: the farm's only holder of the attestation key. It believes its own directory, and nobody's word.

Which builders and comparers may act, and in which fault domain a builder is, the operator tells it by files in its own
state directory (`enrolled/<role>/<keyid>.pem`, `enrolled/builder/<keyid>.domain`); the coordinator's tables are not
asked. It opens no archive.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rebuilder.attest.comparer import Compared, verify_comparison
from rebuilder.attest.context import rebuild_id
from rebuilder.attest.derive import derive
from rebuilder.attest.evidence_files import DOSSIER, attached_files
from rebuilder.attest.keys import PublicKey, Role
from rebuilder.attest.keystore import enrolled
from rebuilder.attest.request import CONTEXT, SIGNED, UNSIGNED, write_document
from rebuilder.attest.signer import Quorum, sign_request
from rebuilder.attest.signing import Signer
from rebuilder.errors import HostileInput, SignatureRefused
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.world.files import read, storage_errors
from workers.documents import NamedBlob, SignReport, SignTask
from workers.lease.protocol import Claim
from workers.roles.place import Place, Step

_DOMAIN_LIMIT_BYTES = 200


def signing_with(attestation: Signer) -> Step:
    """Make the signer's step around the attestation key."""

    def sign(claim: Claim, place: Place) -> Digest:
        return _sign(claim, place, attestation)

    return sign


def _sign(claim: Claim, place: Place, attestation: Signer) -> Digest:
    """Sign every document that follows from the task's dossier.

    1. The comparison is what an enrolled comparer signed about this very part and these very runs.
    2. Builders, quorum, records, plan, evidence and verdicts are checked as on one machine (`rebuilder.attest.signer`),
       against this signer's own keys and fault domains; what is signed is journalled, and signed once.
    """
    task = place.read(claim.input, SignTask)
    state = place.settings.state
    # 1.
    _verify_comparison(task, place)
    # 2.
    quorum = Quorum(builders=max(task.quorum, place.settings.farm.quorum), fault_domains=fault_domains(state))
    with storage_errors(state):
        request = tempfile.TemporaryDirectory(prefix="sign-", dir=state)
    with request as name:
        directory = Path(name)
        _write_request(task, directory, place)
        signed = sign_request(
            directory,
            signer=attestation,
            builders=_accepted(task.dossier, state),
            journal=state / "signed",
            quorum=quorum,
        )
        blobs = tuple(NamedBlob(path=path, digest=place.store.put_file(directory / SIGNED / path)) for path in signed)
    return place.write(SignReport(rebuild_id=rebuild_id(task.dossier, task.context), signed=blobs))


def _accepted(dossier: Dossier, state: Path) -> tuple[PublicKey, ...]:
    """Return the keys that may stand in a context: builders, and planners where nothing was run."""
    planners = enrolled(state, Role.WORKER) if dossier.rebuild is None and dossier.control is None else ()
    return (*enrolled(state, Role.BUILDER), *planners)


def fault_domains(state: Path) -> dict[str, str]:
    """Read the operator's table: the fault domain of each builder that has one."""
    found = {}
    for path in sorted((state / "enrolled" / Role.BUILDER).glob("*.domain")):
        found[path.stem] = read(path, limit_bytes=_DOMAIN_LIMIT_BYTES).decode("utf-8", "replace").strip()
    return found


def _verify_comparison(task: SignTask, place: Place) -> None:
    """Raise unless the dossier's comparison is the signed one; without one, nothing has an answer."""
    dossier = task.dossier
    if task.comparison is None:
        if any(artifact.verdict is not Verdict.UNDECIDED for artifact in dossier.comparison.artifacts):
            raise SignatureRefused("the dossier has an answer, and no comparer signed a comparison")
        return
    comparers = enrolled(place.settings.state, Role.COMPARER)
    if not comparers:
        raise SignatureRefused(
            "no comparer is enrolled with this signer",
            hint="put its public key into enrolled/comparer, if you trust it",
        )
    found = verify_comparison(place.store.get(task.comparison), comparers)
    if found != _expected(dossier):
        raise HostileInput("the comparer signed another comparison than the dossier has, or one of something else")


def _expected(dossier: Dossier) -> Compared:
    return Compared(
        release=Digest.of(codec.render(dossier.release)),
        rebuild=Digest.of(codec.render(dossier.rebuild)),
        control=Digest.of(codec.render(dossier.control)) if dossier.control is not None else None,
        others=tuple(Digest.of(codec.render(other)) for other in dossier.others),
        comparison=dossier.comparison,
    )


def _write_request(task: SignTask, directory: Path, place: Place) -> None:
    write_document(directory / CONTEXT, codec.render(task.context))
    write_document(directory / DOSSIER, codec.render(task.dossier))
    known = attached_files(task.dossier)
    for attached in task.attached:
        if attached.path not in known:
            raise HostileInput(f"{attached.path[:80]!r} is no document that a signer reads")
        write_document(directory / attached.path, place.store.get(attached.digest))
    for document in derive(task.dossier, task.context):
        write_document(directory / UNSIGNED / document.place.path, document.payload)
