"""A source package's own control file: what it says it consists of, and who signed it (dsc(5), Debian policy 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822

from rebuilder.errors import DigestMismatch, HostileInput, SignatureRefused
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.release import FileReference
from rebuilder.origins.debian.stanza import check_name, check_version, parse_files
from rebuilder.trust import keyring, openpgp

SCHEME = "openpgp-dsc"
DSC_LIMIT_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsc:
    """What a .dsc says."""

    source: str
    version: str
    files: tuple[FileReference, ...]
    """What it consists of besides itself."""


def parse_dsc(document: bytes, name: str) -> Dsc:
    """Read a .dsc, signed or not; of a signed one only what its frame covers. Raise HostileInput, SignatureRefused."""
    text = openpgp.unframed(document, name) if openpgp.is_signed(document) else document
    try:
        fields = Deb822(text.decode("utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise HostileInput(f"{name}: unreadable: {error}") from error
    missing = [field for field in ("Source", "Version", "Checksums-Sha256") if not fields.get(field)]
    if missing:
        raise HostileInput(f"{name}: has no {', '.join(missing)}")
    return Dsc(
        source=check_name(fields["Source"]),
        version=check_version(fields["Version"]),
        files=parse_files(fields["Checksums-Sha256"]),
    )


def verify_agreement(dsc: Dsc, source: str, version: str, files: Sequence[FileReference]) -> None:
    """Raise DigestMismatch unless a .dsc and the signed source index speak of the same source and the same bytes."""
    if (dsc.source, dsc.version) != (source, version):
        raise DigestMismatch(f"the .dsc of {source} {version} says that it is {dsc.source} {dsc.version}")
    own = {(file.filename, file.size_bytes, file.digest) for file in dsc.files}
    indexed = {(file.filename, file.size_bytes, file.digest) for file in files if not file.filename.endswith(".dsc")}
    if own != indexed:
        names = ", ".join(sorted({filename for filename, _, _ in own ^ indexed}))
        raise DigestMismatch(f"the .dsc of {source} {version} and the source index disagree about {names}")


def judge_signature(document: bytes, reference: FileReference, keyrings: Sequence[Path], *, second: bool) -> Evidence:
    """Say what a .dsc's own signature is worth; policy decides what follows from it.

    A developer's signature is a second claim beside the archive's: absent, by a key that the keyrings lack (they age),
    invalid, or verified.
    """
    name, here = reference.filename, tuple(path for path in keyrings if path.is_file())
    if not openpgp.is_signed(document):
        return _evidence(reference, Standing.ABSENT, "it carries no signature of its own")
    if not here:
        return _evidence(reference, Standing.NOT_CHECKED, "no developer keyring is installed (debian-keyring)")
    try:
        claims = openpgp.inspect(document, name)
        keys = [claim.key.upper() for claim in claims]
        if not any(keyring.load(path).certificates(keys) for path in here):
            reason = f"signed by {', '.join(keys)}, which no keyring has: {', '.join(path.name for path in here)}"
            return _evidence(reference, Standing.NOT_CHECKED, reason, signer=", ".join(keys))
        signed = openpgp.verify_inline(document, here, name=name, second_opinion=second)
    except openpgp.UnusableKey as refusal:
        return _evidence(reference, Standing.NOT_CHECKED, str(refusal), signer=", ".join(keys))
    except SignatureRefused as refusal:
        return _evidence(reference, Standing.REFUSED, str(refusal))
    signer = signed.signers[0]
    return Evidence(
        scheme=SCHEME,
        subject=name,
        subject_digest=reference.digest,
        outcome=Standing.VERIFIED,
        reason="signed by a key of a developer keyring"
        + (f"; {signed.second_opinion}" if signed.second_opinion else ""),
        signer=signer.certificate,
        issuer=signer.keyring,
        signed_at=signer.signed_at,
        document=reference.digest,
        not_checked=(*signed.notes, "whether that developer was allowed to upload this package"),
    )


def _evidence(reference: FileReference, outcome: Standing, reason: str, *, signer: str | None = None) -> Evidence:
    digest: Digest = reference.digest
    return Evidence(
        scheme=SCHEME,
        subject=reference.filename,
        subject_digest=digest,
        outcome=outcome,
        reason=reason,
        signer=signer,
        document=digest,
    )
