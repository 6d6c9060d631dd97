"""Opening a suite: fetch its InRelease, verify who signed it, that it is the one asked for, and that it is current."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from rebuilder.config import Archive, Settings
from rebuilder.errors import RebuilderError, UnknownTarget, UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.origins.debian import release_file
from rebuilder.origins.debian.mirrors import SuitePart, without_addresses
from rebuilder.origins.debian.release_file import ReleaseFile
from rebuilder.store.blobs import BlobStore
from rebuilder.trust import openpgp
from rebuilder.trust.openpgp import SignedText
from rebuilder.world.http import Fetcher, NotFound

SCHEME = "openpgp-inrelease"

_INRELEASE_LIMIT_BYTES = 8 * 1024**2
_TESTING = "testing"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSuite:
    """A suite whose InRelease was verified in this run."""

    part: SuitePart
    mirror: Archive
    """Which of the mirrors served it."""
    release: ReleaseFile
    document: Digest
    """Blob of the InRelease."""
    evidence: Evidence

    @property
    def may_lack_followers(self) -> bool:
        """Whether its updates and security suites may be absent: testing has them only at times."""
        return self.release.suite == _TESTING

    def address(self, path: str) -> str:
        """Where a file of the suite is, on the mirror that served the InRelease."""
        return f"{self.mirror.uri.rstrip('/')}/dists/{self.part.suite}/{path}"


class Opener:
    """Opens suites with one set of settings; keeps each InRelease as a blob, and the newest Date of each suite."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs

    def open(self, part: SuitePart, now: datetime) -> OpenSuite:
        """Open a suite from the first mirror whose InRelease is accepted.

        1. Fetch InRelease. 2. Verify its signature. 3. It is Debian's, and of the suite that was asked.
        4. It is fresh. 5. It is not older than one that was seen before.

        Raise UnknownTarget if no mirror has the suite, else what was wrong with the first, an untrusted one first.
        There is no falling back to an InRelease of an earlier run.
        """
        failures: list[RebuilderError] = []
        for mirror in part.mirrors:
            try:
                opened = self._open(
                    part,
                    mirror,
                    now,
                    passed_over=tuple(without_addresses(str(failure), part.mirrors) for failure in failures),
                )
            except RebuilderError as failure:
                failures.append(failure)
            else:
                return opened
        if all(isinstance(failure, NotFound) for failure in failures):
            raise UnknownTarget(
                f"no configured mirror of {part.label} has a suite {part.suite}",
                hint="suites are named as below dists/ of the archive: bookworm, trixie, sid, trixie-security, …",
            )
        raise next((failure for failure in failures if isinstance(failure, UntrustedError)), failures[0])

    def _open(self, part: SuitePart, mirror: Archive, now: datetime, *, passed_over: tuple[str, ...]) -> OpenSuite:
        name = f"{part.label} {part.suite} InRelease"
        policy = self._settings.policy
        # 1.
        address = f"{mirror.uri.rstrip('/')}/dists/{part.suite}/InRelease"
        data = self._fetcher.get(address, limit_bytes=_INRELEASE_LIMIT_BYTES)
        # 2.
        keyrings = mirror.keyrings or (self._settings.debian.archive_keyring,)
        signed = openpgp.verify_inline(data, keyrings, name=name, second_opinion=policy.second_opinion)
        release = release_file.parse(signed.text, name)
        # 3.
        release_file.verify_identity(release, part.suite, name)
        # 4. and 5.
        age = release_file.judge_freshness(release, now, policy, name)
        history = release_file.remember(release, self._memory(part, release), policy, name, suite=part.suite)
        document = self._blobs.put(data)
        notes = (*age, *history, *signed.notes, *(f"a mirror was passed over: {failure}" for failure in passed_over))
        evidence = _evidence(name, document, signed, release, notes)
        return OpenSuite(part=part, mirror=mirror, release=release, document=document, evidence=evidence)

    def _memory(self, part: SuitePart, release: ReleaseFile) -> Path:
        """Where the newest Date of a suite is kept: by codename, so that `stable` and its codename share it."""
        name = quote(release.codename or release.suite, safe="+~.-_")
        return self._settings.state / "freshness" / quote(part.label, safe="+~.-_") / f"{name}.json"


def _evidence(
    name: str, document: Digest, signed: SignedText, release: ReleaseFile, notes: tuple[str, ...]
) -> Evidence:
    times = [signer.signed_at for signer in signed.signers if signer.signed_at is not None]
    return Evidence(
        scheme=SCHEME,
        subject=name,
        subject_digest=document,
        outcome=Standing.VERIFIED,
        reason=f"signed by {len(signed.signers)} key(s) of the archive keyring;"
        f" it says Suite {release.suite or '-'}, Codename {release.codename or '-'}, as asked"
        + (f"; {signed.second_opinion}" if signed.second_opinion else ""),
        signer=", ".join(signer.certificate for signer in signed.signers),
        issuer=", ".join(dict.fromkeys(signer.keyring for signer in signed.signers)),
        signed_at=max(times, default=None),
        document=document,
        not_checked=(*notes, "revocation of the signing keys, beyond what the keyring says"),
    )
