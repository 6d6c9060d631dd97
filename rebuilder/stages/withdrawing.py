"""withdraw: one more signed document about a published result, that it is not to be relied on any more."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from rebuilder.attest.keys import PublicKey, Role
from rebuilder.attest.keystore import key_path, load_public_key, passphrase_from_file
from rebuilder.attest.published import verify_dsse
from rebuilder.attest.request import SIGNED
from rebuilder.attest.run_signer import run_signer
from rebuilder.attest.withdrawal import read_statement
from rebuilder.attest.withdrawal_request import is_same_subject, signed_by, successor_of, write_withdrawal_request
from rebuilder.config import Settings
from rebuilder.errors import ConfigurationError, HostileInput, UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.withdrawal import FILE_NAME, Withdrawal
from rebuilder.publish import scan
from rebuilder.publish.withdrawing import publish_withdrawal
from rebuilder.store.ledger import Ledger
from rebuilder.world.files import read, storage_errors

_LIMIT_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants withdrawn, and why."""

    root: Path
    """The results directory."""
    path: PurePosixPath
    """Of the result, relative to it."""
    reason: str
    successor: PurePosixPath | None = None
    """Of the result that is to be relied on instead."""


def withdraw(wish: Wish, settings: Settings, ledger: Ledger, at: datetime) -> tuple[Withdrawal, Path]:
    """Have a withdrawal signed by the signing process and publish it; return it and where it lies.

    Asking once more for the same changes nothing. Raises UsageError for a result that cannot be withdrawn so,
    UntrustedError where it was not signed by this machine's attestation key or is not what was signed.
    """
    result = scan.load(wish.root, wish.path)
    asked = _withdrawal(wish, result, _attestation_key(settings), at)
    if result.withdrawal is not None:
        if not result.withdrawal.repeats(asked):
            raise UsageError(
                f"{wish.path} was withdrawn already: {result.withdrawal.reason}",
                hint="a result is withdrawn once; what was published is never edited",
            )
        document = read(wish.root / wish.path / FILE_NAME, limit_bytes=_LIMIT_BYTES)
    else:
        document = _sign(wish, asked, settings)
    place = publish_withdrawal(wish.root, wish.path, document)
    signed = scan.load(wish.root, wish.path)
    if signed.withdrawal is None:
        raise HostileInput(f"{place} vanished while it was published")
    _record(signed, Digest.of(document), ledger)
    return signed.withdrawal, place


def _withdrawal(wish: Wish, result: scan.Result, key: PublicKey, at: datetime) -> Withdrawal:
    signed_by(wish.root / wish.path, key)
    successor = None
    if wish.successor is not None:
        other = scan.load(wish.root, wish.successor)
        if other.digest == result.digest:
            raise UsageError(f"{wish.successor} is the result that is withdrawn", hint="name another with the option")
        if other.withdrawal is not None:
            raise UsageError(
                f"{wish.successor} was withdrawn itself: {other.withdrawal.reason}", hint="name one that stands"
            )
        if not is_same_subject(other.dossier, result.dossier):
            raise UsageError(
                f"{wish.successor} is about another release or architecture than what is withdrawn",
                hint="name a result about the same one, or leave the option out",
            )
        successor = successor_of(*signed_by(wish.root / wish.successor, key))
    try:
        return Withdrawal(
            rebuild_id=result.rebuild_id,
            dossier=result.digest,
            attester=key.keyid,
            reason=wish.reason,
            superseded_by=successor,
            withdrawn_at=at,
        )
    except ValueError as error:
        raise UsageError(str(error), hint="say in a sentence what was wrong") from error


def _attestation_key(settings: Settings) -> PublicKey:
    path = key_path(settings.state, Role.ATTESTATION).with_suffix(".pub")
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: no attestation key here, so no result of it can be withdrawn",
            hint="name the state directory of the rebuilder that signed the result",
        )
    return load_public_key(path)


def _sign(wish: Wish, asked: Withdrawal, settings: Settings) -> bytes:
    """Ask the signing process, and see that what it gives back is what was asked for."""
    secret = settings.passphrase_file
    with storage_errors(settings.state):
        staging = tempfile.TemporaryDirectory(prefix="withdraw-", dir=settings.state)
    with staging as name:
        request = Path(name, "request")
        successor = wish.root / wish.successor if wish.successor is not None else None
        write_withdrawal_request(request, asked, wish.root / wish.path, successor)
        run_signer(request, state=settings.state, passphrase=passphrase_from_file(secret) if secret else None)
        document = read(request / SIGNED / FILE_NAME, limit_bytes=_LIMIT_BYTES)
    payload = verify_dsse(document, (_attestation_key(settings),))
    dossier = scan.load(wish.root, wish.path).dossier
    signed = read_statement(payload, dossier, digest=asked.dossier, identifier=asked.rebuild_id)
    if not signed.repeats(asked):
        raise HostileInput("the signing process signed another withdrawal than it was asked for")
    return document


def _record(result: scan.Result, document: Digest, ledger: Ledger) -> None:
    """Let the ledger know; one that is younger than the result learns of that first."""
    if result.withdrawal is None or result.dossier.release.is_local:
        return  # a file that somebody holds is no part of a release's history
    if not ledger.record_withdrawal(result.withdrawal, document):
        ledger.record_comparison(result.dossier, str(result.path))
        ledger.record_withdrawal(result.withdrawal, document)
