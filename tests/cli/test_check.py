"""`rebuilder check`: the reader's key, the verdict's exit code, and 3 for everything that does not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.compare.rule import DEB
from rebuilder.compare.sandbox import compare_in_child
from rebuilder.model.verdict import Verdict
from tests.attest.factory import ATTESTER, BUILDER, Sample, dossier, publish

Cli = Callable[..., tuple[int, str, str]]


def _key(pem: str) -> Path:
    path = Path("key.pem")
    path.write_text(pem)
    return path


def _sample(verdict: Verdict, scratch: Path) -> Sample:
    """Make a sample whose difference, if there is one, is what comparing its files really finds."""
    sample = dossier({"sample": verdict})
    if verdict is not Verdict.DIFFERENT:
        return sample
    (artifact,) = sample.dossier.comparison.artifacts
    sides = {side: scratch / side / artifact.filename for side in ("reference", "rebuilt")}
    for side, path in sides.items():
        path.parent.mkdir()
        path.write_bytes(sample.files[f"artifacts/{side}/{artifact.filename}"])
    found = compare_in_child(sides["reference"], sides["rebuilt"], filename=artifact.filename, rule=DEB)
    artifact = replace(artifact, causes=found.causes, findings=found.findings)
    comparison = replace(sample.dossier.comparison, artifacts=(artifact,))
    return replace(sample, dossier=replace(sample.dossier, comparison=comparison))


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.REPRODUCED, 0), (Verdict.DIFFERENT, 1), (Verdict.UNDECIDED, 4)])
def test_a_result_that_holds_gives_its_verdict(verdict: Verdict, code: int, cli: Cli, tmp_path: Path) -> None:
    """With the key in hand, or pinned; as text and as JSON."""
    result = publish(tmp_path, _sample(verdict, tmp_path))
    key = _key(ATTESTER.public_key.pem)
    found, out, _ = cli("check", result, "--key", key)
    assert (found, f"holds: {verdict}" in out) == (code, True)
    assert cli("keys", "pin", "someone", key)[0] == 0
    found, out, _ = cli("check", result / "dossier.json", "--pinned", "someone", "--json")
    answer = json.loads(out)
    assert found == code
    assert (answer["holds"], answer["verdict"], answer["attester"]) == (True, verdict, ATTESTER.public_key.keyid)
    assert answer["verified"]
    assert answer["not_checked"]


def test_a_forged_field_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Exit code 3, and nothing on stdout that could be taken for an answer."""
    result = publish(tmp_path, dossier({"sample": Verdict.DIFFERENT}))
    path = result / "dossier.json"
    path.write_bytes(path.read_bytes().replace(b'"different"', b'"reproduced"'))
    code, out, err = cli("check", result, "--key", _key(ATTESTER.public_key.pem))
    assert (code, out) == (3, "")
    assert "error: " in err


def test_a_difference_that_does_not_repeat_is_refused(cli: Cli, tmp_path: Path) -> None:
    """The artifacts beside a result are compared once more, and must say what was published."""
    result = publish(tmp_path, dossier({"sample": Verdict.DIFFERENT}))
    code, out, err = cli("check", result, "--key", _key(ATTESTER.public_key.pem))
    assert (code, out) == (3, "")
    assert "comparing again finds a difference that was not published" in err


def test_another_key_is_refused(cli: Cli, tmp_path: Path) -> None:
    """A result signed by somebody else does not hold, whatever it says."""
    result = publish(tmp_path, dossier())
    code, _, err = cli("check", result, "--key", _key(BUILDER.public_key.pem))
    assert code == 3
    assert "error: " in err


def test_without_a_key_nothing_is_believed(cli: Cli, tmp_path: Path) -> None:
    """A key beside the results is never taken; an unknown pin is usage."""
    result = publish(tmp_path, dossier())
    (result.parent / "attestation.pub").write_text(ATTESTER.public_key.pem)
    code, _, err = cli("check", result)
    assert (code, "no key was given to check with" in err) == (3, True)
    code, _, err = cli("check", result, "--pinned", "nobody")
    assert (code, "no key is pinned under 'nobody'" in err) == (2, True)


def test_a_directory_without_a_result_is_usage(cli: Cli, tmp_path: Path) -> None:
    """The hint says which directory to name."""
    code, _, err = cli("check", tmp_path)
    assert code == 2
    assert "it holds no dossier.json" in err


@pytest.mark.parametrize("document", [b"[]", b'"x"', b"{}", b"null", b"\xff"])
def test_a_dossier_that_is_none_is_refused(document: bytes, cli: Cli, tmp_path: Path) -> None:
    """JSON of another type in the place of the dossier: hostile input, exit code 3."""
    result = publish(tmp_path, dossier())
    (result / "dossier.json").write_bytes(document)
    code, out, err = cli("check", result, "--key", _key(ATTESTER.public_key.pem))
    assert (code, out) == (3, "")
    assert "internal error" not in err


def test_a_dossier_beyond_every_bound_is_refused(cli: Cli, tmp_path: Path) -> None:
    """The flood attack: longer than 64 MiB, and not read at all."""
    result = publish(tmp_path, dossier())
    with (result / "dossier.json").open("r+b") as stream:
        stream.truncate(64 * 1024**2 + 1)
    code, out, err = cli("check", result, "--key", _key(ATTESTER.public_key.pem))
    assert (code, out) == (3, "")
    assert "dossier.json: 67108865 bytes; at most 67108864 are read" in err
