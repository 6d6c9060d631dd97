"""`rebuilder withdraw`, and what `check`, `report` and `ledger` say of a withdrawn result."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rebuilder.attest.context import rebuild_id
from rebuilder.attest.request import collect_signed
from rebuilder.model import codec
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import FILE_NAME
from rebuilder.publish.layout import result_path
from rebuilder.publish.render import render_all
from tests.attest.factory import ATTESTER, BUILDER, Sample, dossier, publish, sign, stage
from tests.attest.withdrawing import ask, withdrawal_of

Cli = Callable[..., tuple[int, str, str]]

REASON = "built on a machine with <bad> memory"
KEYID = ATTESTER.public_key.keyid


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Give the state directory the attestation key that signs the samples; return the public key."""
    keys = tmp_path / "state" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    Path("rebuilder.toml").write_text('state = "state"\n')
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"attestation").digest())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (keys / "attestation.pem").touch(mode=0o600)
    (keys / "attestation.pem").write_bytes(pem)
    (keys / "attestation.pub").write_text(ATTESTER.public_key.pem)
    return keys / "attestation.pub"


def put(tmp_path: Path, sample: Sample, name: str) -> Path:
    """Publish a signed result at its place in ./results."""
    made = publish(tmp_path / name, sample)
    place = tmp_path / "results" / result_path(sample.dossier, made.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, place)
    (tmp_path / "results" / "blobs").mkdir(exist_ok=True)
    render_all(tmp_path / "results")
    return place


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Publish a reproduced release."""
    return put(tmp_path, dossier(), "first")


def put_successor(tmp_path: Path) -> Path:
    """Publish another conclusion about the same release, an hour later, of a later run."""
    sample = dossier({"sample": Verdict.DIFFERENT})
    made = sample.dossier
    assert made.rebuild is not None
    later, run = made.concluded_at + timedelta(hours=1), replace(made.rebuild, ordinal=2)
    sample = replace(sample, dossier=replace(made, rebuild=run, concluded_at=later))
    staged = stage(tmp_path / "second", sample, ordinal=2)
    sign(staged, tmp_path / "second" / "journal")
    collect_signed(staged.request, staged.result)
    place = tmp_path / "results" / result_path(sample.dossier, rebuild_id(sample.dossier, staged.context))
    shutil.copytree(staged.result, place)
    render_all(tmp_path / "results")
    return place


def test_a_result_is_withdrawn_and_every_verb_says_so(cli: Cli, key: Path, result: Path) -> None:
    """Signed by the signing process; check gives 4 with the reason and the key, as text and as JSON."""
    assert cli("check", result, "--key", key)[0] == 0
    code, out, _ = cli("withdraw", result, "--reason", REASON)
    assert code == 0
    assert out.startswith("withdrawn: it said reproduced")
    assert str(result / FILE_NAME) in out
    code, out, _ = cli("check", result, "--key", key)
    assert code == 4
    assert out.startswith("withdrawn: it said reproduced")
    assert REASON in out
    assert f"by key {KEYID}" in out
    code, out, _ = cli("check", result, "--key", key, "--json")
    answer = json.loads(out)
    assert (code, answer["holds"], answer["verdict"]) == (4, True, "undecided")
    assert (answer["withdrawn"]["verdict"], answer["withdrawn"]["reason"]) == ("reproduced", REASON)
    assert answer["withdrawn"]["attester"] == KEYID
    one = json.loads(cli("report", result, "--json")[1])
    assert (one["verdict"], one["reason"], one["withdrawn"]["verdict"]) == ("undecided", REASON, "reproduced")
    assert {artifact["verdict"] for artifact in one["artifacts"]} == {"undecided"}
    for arguments in ((), (result,), ("--format", "markdown"), (result, "--format", "markdown")):
        out = cli("report", *arguments)[1]
        assert "withdrawn" in out
        assert REASON in out.replace("\\", "")
    every = json.loads(cli("report", "--json")[1])
    assert every["counts"] == {"reproduced": 0, "equivalent": 0, "undecided": 0, "different": 0, "withdrawn": 1}
    (line,) = json.loads(cli("ledger", "history", "sample", "--json")[1])
    assert (line["verdict"], line["withdrawn"]) == ("undecided", REASON)
    assert f"withdrawn   sample 1.0-1 amd64  {REASON}" in cli("ledger", "history", "sample")[1]
    shutil.rmtree("state/ledger.sqlite", ignore_errors=True)
    Path("state/ledger.sqlite").unlink()
    assert cli("ledger", "rebuild")[0] == 0
    assert json.loads(cli("ledger", "history", "sample", "--json")[1])[0]["withdrawn"] == REASON


def test_an_unwithdrawn_result_says_so_in_json(cli: Cli, key: Path, result: Path) -> None:
    """The member is there, and null."""
    assert json.loads(cli("check", result, "--key", key, "--json")[1])["withdrawn"] is None


def test_the_same_again_is_a_no_op_and_other_words_are_usage(cli: Cli, key: Path, result: Path) -> None:
    """A command that was interrupted is run again; a decision is not reworded."""
    first = json.loads(cli("withdraw", result, "--reason", REASON, "--json")[1])
    before = (result / FILE_NAME).read_bytes()
    assert json.loads(cli("withdraw", result / "index.html", "--reason", REASON, "--json")[1]) == first
    assert (result / FILE_NAME).read_bytes() == before
    code, _, err = cli("withdraw", result, "--reason", "other words")
    assert (code, f"was withdrawn already: {REASON}" in err) == (2, True)
    (result / FILE_NAME).unlink()
    assert cli("withdraw", result, "--reason", REASON)[0] == 0
    assert (result / FILE_NAME).read_bytes() == before, "the signer gives the first one again"
    (result / FILE_NAME).unlink()
    code, _, err = cli("withdraw", result, "--reason", "other words")
    assert (code, "already withdrawn with other words" in err) == (3, True)


def test_a_successor_is_named(cli: Cli, key: Path, result: Path, tmp_path: Path) -> None:
    """The later result stands, and is named in the answer, by check, and on the page."""
    successor = put_successor(tmp_path)
    code, out, _ = cli("withdraw", result, "--reason", REASON, "--superseded-by", successor)
    assert (code, f"superseded by {successor.name}" in out) == (0, True)
    assert f"superseded by {successor.name}" in cli("check", result, "--key", key)[1]
    assert f'href="../{successor.name}/index.html"' in (result / "index.html").read_text()
    latest = json.loads((result.parent / "latest.json").read_bytes())
    assert latest["path"].endswith(successor.name)
    code, _, err = cli("withdraw", successor, "--reason", REASON, "--superseded-by", result)
    assert (code, "was withdrawn itself" in err) == (2, True)
    code, _, err = cli("withdraw", successor, "--reason", REASON, "--superseded-by", successor)
    assert (code, "is the result that is withdrawn" in err) == (2, True)


def test_attack_edited_withdrawal(cli: Cli, key: Path, result: Path) -> None:
    """Whoever has the key is not shown the edited reason; whoever has not is told that nothing was verified."""
    cli("withdraw", result, "--reason", REASON)
    assert "signature verified with a key that you know" in cli("report", result)[1]
    assert json.loads(cli("report", result, "--json")[1])["withdrawn"]["signature_verified"] is True
    path = result / FILE_NAME
    envelope = json.loads(path.read_bytes())
    payload = base64.b64decode(envelope["payload"])
    assert payload.count(REASON.encode()) == 1
    envelope["payload"] = base64.b64encode(payload.replace(REASON.encode(), b"all is well")).decode()
    path.write_bytes(codec.render(envelope))
    code, out, err = cli("report", result)
    assert (code, out) == (3, "")
    assert f"{FILE_NAME}: the signature is not one that key {KEYID[:16]} made" in err
    key.unlink()
    code, out, _ = cli("report", result)
    assert (code, "all is well" in out, "signature not verified" in out) == (0, True, True)
    assert json.loads(cli("report", result, "--json")[1])["withdrawn"]["signature_verified"] is False
    assert cli("render")[0] == 0
    page = (result / "index.html").read_text()
    assert "This page verified no signature" in page
    assert "by the key that signed the result" not in page


def test_attack_result_of_somebody_else(cli: Cli, key: Path, result: Path) -> None:
    """This machine's key withdraws what it signed, and nothing else."""
    key.write_text(BUILDER.public_key.pem)
    code, out, err = cli("withdraw", result, "--reason", REASON)
    assert (code, out) == (3, "")
    assert "signed by 0 of the keys that were given" in err
    assert not (result / FILE_NAME).exists()


def test_attack_result_that_was_edited(cli: Cli, key: Path, result: Path) -> None:
    """A dossier that the key never signed for gets no document of it."""
    path = result / "dossier.json"
    path.write_bytes(path.read_bytes().replace(b'"reason":""', b'"reason":"x"', 1))
    code, _, err = cli("withdraw", result, "--reason", REASON)
    assert code == 3
    assert "error: " in err
    assert not (result / FILE_NAME).exists()


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * 1001])
def test_a_reason_that_is_none_is_usage(cli: Cli, key: Path, result: Path, reason: str) -> None:
    """It is said what one is."""
    code, _, err = cli("withdraw", result, "--reason", reason)
    assert (code, "one line of 1 to 1000 printable characters" in err) == (2, True)


def test_what_cannot_be_withdrawn_is_usage(cli: Cli, result: Path, tmp_path: Path) -> None:
    """No result, none in a results directory, no key of ours, no reason; and no key is made on the way."""
    code, _, err = cli("withdraw", tmp_path, "--reason", REASON)
    assert (code, "it holds no dossier.json" in err) == (2, True)
    lone = shutil.copytree(result, tmp_path / result.name)
    code, _, err = cli("withdraw", lone, "--reason", REASON)
    assert (code, "not in a results directory" in err) == (2, True)
    code, _, err = cli("withdraw", result, "--reason", REASON)
    assert (code, "no attestation key here" in err) == (2, True)
    assert list(tmp_path.rglob("attestation.pem")) == []
    assert cli("withdraw", result)[0] == 2


def test_another_releases_result_supersedes_nothing(cli: Cli, key: Path, result: Path, tmp_path: Path) -> None:
    """A successor about another architecture is usage, said before anything is signed."""
    other = put_successor(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("rebuilder.stages.withdrawing.is_same_subject", lambda *_: False)
        code, _, err = cli("withdraw", result, "--reason", REASON, "--superseded-by", other)
    assert (code, "about another release or architecture" in err) == (2, True)
    assert not (result / FILE_NAME).exists()


def test_the_signing_step_is_a_command_of_its_own_here_too(cli: Cli, key: Path, result: Path, tmp_path: Path) -> None:
    """`rebuilder sign` signs a request for a withdrawal that lies in a directory."""
    request = ask(tmp_path, withdrawal_of(result), result)
    code, out, _ = cli("sign", request)
    assert (code, out) == (0, f"{FILE_NAME}\n")
    assert (request / "signed" / FILE_NAME).is_file()
