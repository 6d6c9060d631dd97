"""Withdrawing results in tests: asked for, signed in this process, and laid beside the documents."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.attest.context import rebuild_id
from rebuilder.attest.envelope import IN_TOTO
from rebuilder.attest.envelope import sign as sign_envelope
from rebuilder.attest.signing import KeySigner
from rebuilder.attest.withdrawal import withdrawal_statement
from rebuilder.attest.withdrawal_request import sign_withdrawal, signed_by, successor_of, write_withdrawal_request
from rebuilder.model.codec import render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.withdrawal import FILE_NAME, Withdrawal
from tests.attest.factory import ATTESTER

REASON = "the machine had a bad memory module"
LATER = datetime(2026, 12, 1, 9, 0, 0, tzinfo=UTC)


def withdrawal_of(result: Path, *, reason: str = REASON, successor: Path | None = None) -> Withdrawal:
    """Say of a published result that it is withdrawn."""
    dossier, context = signed_by(result, ATTESTER.public_key)
    return Withdrawal(
        rebuild_id=rebuild_id(dossier, context),
        dossier=Digest.of(render(dossier)),
        attester=context.attester,
        reason=reason,
        superseded_by=successor_of(*signed_by(successor, ATTESTER.public_key)) if successor else None,
        withdrawn_at=LATER,
    )


def ask(root: Path, withdrawal: Withdrawal, result: Path, successor: Path | None = None) -> Path:
    """Write the request for a withdrawal."""
    request = root / "withdrawal-request"
    write_withdrawal_request(request, withdrawal, result, successor)
    return request


def withdraw(root: Path, result: Path, *, reason: str = REASON, successor: Path | None = None) -> Withdrawal:
    """Withdraw a result as the program does."""
    withdrawal = withdrawal_of(result, reason=reason, successor=successor)
    request = ask(root, withdrawal, result, successor)
    sign_withdrawal(request, signer=ATTESTER, journal=root / "journal")
    shutil.copy(request / "signed" / FILE_NAME, result / FILE_NAME)
    return withdrawal


def signed_withdrawal(dossier: Dossier, withdrawal: Withdrawal, signer: KeySigner = ATTESTER) -> bytes:
    """Sign a withdrawal without asking whether it may be."""
    return sign_envelope(withdrawal_statement(dossier, withdrawal), IN_TOTO, signer)
