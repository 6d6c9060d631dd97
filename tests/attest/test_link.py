"""Links, verified by the real in-toto-verify: a match is accepted, and nothing else can be mistaken for one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.attest.envelope import IN_TOTO
from rebuilder.attest.envelope import sign as sign_envelope
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.layout import make_layout, sign_layout
from rebuilder.attest.link import apt_name, metablock_payload, sign_metablock, verify_metablock
from rebuilder.errors import HostileInput, SignatureRefused, UsageError
from rebuilder.model.verdict import Verdict
from tests.attest.factory import ATTESTER, BUILDER, OWNER, dossier, key_signer, publish, rebuilt_bytes, reference_bytes
from tests.attest.withdrawing import withdraw

POOL_NAME = "sample_1.0-1_amd64.deb"
CACHED_NAME = "sample_1%3a1.0-1_amd64.deb"
NOW = datetime.now(UTC)
FORMS = ("metablock", "dsse")
CLIENT = Path(sys.executable).parent / "in-toto-verify"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Somebody with a layout of their own, the key that signed it, and a directory with one file to verify."""

    home: Path

    def trust(self, *keys: PublicKey, threshold: int = 1, expires: datetime = NOW + timedelta(days=30)) -> None:
        """Write and sign a layout over these rebuilders."""
        layout = make_layout(keys, threshold=threshold, expires=expires)
        (self.home / "root.layout").write_bytes(sign_layout(layout, OWNER, now=NOW))
        (self.home / "owner.pub").write_text(OWNER.public_key.pem)

    def verify(self, links: Path, filename: str, data: bytes) -> subprocess.CompletedProcess[str]:
        """Run in-toto-verify beside the file."""
        folder = self.home / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / filename).write_bytes(data)
        command: list[str | Path] = [
            CLIENT,
            "--layout",
            self.home / "root.layout",
            "--verification-keys",
            self.home / "owner.pub",
        ]
        return subprocess.run(
            [*command, "--link-dir", links], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Give a reader who trusts the attestation key alone."""
    home = tmp_path / "reader"
    home.mkdir()
    made = Reader(home=home)
    made.trust(ATTESTER.public_key)
    return made


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a release with an epoch, and one artifact of each verdict."""
    verdicts = {
        "sample": Verdict.REPRODUCED,
        "differs": Verdict.DIFFERENT,
        "alike": Verdict.EQUIVALENT,
        "unknown": Verdict.UNDECIDED,
    }
    return publish(tmp_path_factory.mktemp("results"), dossier(verdicts, epoch=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("filename", [POOL_NAME, CACHED_NAME])
def test_stock_client_accepts_a_match(reader: Reader, results: Path, form: str, filename: str) -> None:
    """in-toto-verify 3.1 accepts the published file, under the pool's name and under apt's."""
    finished = reader.verify(results / "links" / POOL_NAME / form, filename, reference_bytes(POOL_NAME))
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("form", FORMS)
def test_stock_client_knows_no_withdrawal(reader: Reader, results: Path, tmp_path: Path, form: str) -> None:
    """Links of a withdrawn result go on being accepted, as the documentation says; a layout without the key ends it."""
    result = Path(shutil.copytree(results, tmp_path / results.name))
    withdraw(tmp_path, result)
    links = result / "links" / POOL_NAME / form
    assert reader.verify(links, POOL_NAME, reference_bytes(POOL_NAME)).returncode == 0
    reader.trust(BUILDER.public_key)
    assert reader.verify(links, POOL_NAME, reference_bytes(POOL_NAME)).returncode == 1


@pytest.mark.parametrize("form", FORMS)
def test_attack_stock_client_refuses_a_tampered_file(reader: Reader, results: Path, form: str) -> None:
    """One byte more, and the rule that nothing unmatched may be there refuses the file."""
    finished = reader.verify(results / "links" / POOL_NAME / form, POOL_NAME, reference_bytes(POOL_NAME) + b"x")
    assert finished.returncode == 1
    assert "'DISALLOW *.deb' matched" in finished.stderr


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("differs", Verdict.DIFFERENT),
        ("alike", Verdict.EQUIVALENT),
        ("unknown", Verdict.UNDECIDED),
    ],
)
def test_attack_unreproduced_link_is_never_found(
    reader: Reader, results: Path, form: str, name: str, verdict: Verdict
) -> None:
    """A client that looks for step `rebuild` finds no link of what was not reproduced."""
    filename = f"{name}_1.0-1_amd64.deb"
    assert not (results / "links" / filename).exists()
    folder = results / "unreproduced" / filename / form
    finished = reader.verify(folder, filename, rebuilt_bytes(filename, verdict))
    assert finished.returncode == 1
    assert "LinkNotFoundError" in finished.stderr


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["differs", "alike"])
def test_attack_renamed_unreproduced_link(reader: Reader, results: Path, tmp_path: Path, form: str, name: str) -> None:
    """Renamed to `rebuild`, an unreproduced link still does not vouch for the published file: its product is ours."""
    filename = f"{name}_1.0-1_amd64.deb"
    source = next((results / "unreproduced" / filename / form).iterdir())
    shutil.copy(source, tmp_path / f"rebuild.{ATTESTER.public_key.keyid[:8]}.link")
    finished = reader.verify(tmp_path, filename, reference_bytes(filename))
    assert finished.returncode == 1
    assert "'DISALLOW *.deb' matched" in finished.stderr


@pytest.mark.parametrize("form", FORMS)
def test_attack_changed_link(reader: Reader, results: Path, tmp_path: Path, form: str) -> None:
    """A product digest that was changed after signing leaves the client without a valid link."""
    name = f"rebuild.{ATTESTER.public_key.keyid[:8]}.link"
    data = (results / "links" / POOL_NAME / form / name).read_bytes()
    plain = json.loads(data)
    if form == "metablock":
        plain["signed"]["byproducts"]["verdict"] = "more than reproduced"
    else:
        plain["payload"] = "A" + plain["payload"][1:]
    (tmp_path / name).write_text(json.dumps(plain))
    finished = reader.verify(tmp_path, POOL_NAME, reference_bytes(POOL_NAME))
    assert finished.returncode == 1
    assert "ThresholdVerificationError" in finished.stderr


def _second_link(results: Path, folder: Path, form: str) -> None:
    """Have another rebuilder agree: the same products, other byproducts, its own key and file name."""
    other = key_signer("other rebuilder")
    shutil.copytree(results / "links" / POOL_NAME / form, folder)
    mine = next((results / "links" / POOL_NAME / "metablock").iterdir())
    link = json.loads(mine.read_bytes())["signed"]
    link["byproducts"] = {"rebuild": "another one"}
    payload = metablock_payload(link)
    signed = sign_metablock(payload, other) if form == "metablock" else sign_envelope(payload, IN_TOTO, other)
    (folder / f"rebuild.{other.public_key.keyid[:8]}.link").write_bytes(signed)


@pytest.mark.parametrize("form", FORMS)
def test_two_rebuilders_meet_a_threshold(reader: Reader, results: Path, tmp_path: Path, form: str) -> None:
    """Two of three rebuilders that agree satisfy a threshold of 2; one alone does not."""
    keys = (ATTESTER.public_key, key_signer("other rebuilder").public_key, BUILDER.public_key)
    reader.trust(*keys, threshold=2)
    alone = reader.verify(results / "links" / POOL_NAME / form, POOL_NAME, reference_bytes(POOL_NAME))
    assert alone.returncode == 1
    folder = tmp_path / "both"
    _second_link(results, folder, form)
    assert reader.verify(folder, POOL_NAME, reference_bytes(POOL_NAME)).returncode == 0


def test_links_are_minimal(results: Path) -> None:
    """No materials, an empty environment, `sha256` alone: what clients need to reach a threshold."""
    link = json.loads(next((results / "links" / POOL_NAME / "metablock").iterdir()).read_bytes())["signed"]
    assert link["name"] == "rebuild"
    assert (link["materials"], link["environment"], link["command"]) == ({}, {}, [])
    assert set(link["products"]) == {POOL_NAME, CACHED_NAME}
    assert all(set(digests) == {"sha256"} for digests in link["products"].values())
    assert link["byproducts"]["verdict"] == "reproduced"


def test_a_layout_that_expired_is_not_signed() -> None:
    """Clients refuse an expired layout; so do we, before it is published."""
    layout = make_layout([ATTESTER.public_key], threshold=1, expires=NOW - timedelta(days=1))
    with pytest.raises(UsageError, match="not in the future"):
        sign_layout(layout, OWNER, now=NOW)


@pytest.mark.parametrize(
    ("keys", "threshold", "message"),
    [
        ((), 1, "at least one rebuilder"),
        ((ATTESTER.public_key, ATTESTER.public_key), 2, "each key once"),
        ((ATTESTER.public_key,), 0, "threshold 0"),
        ((ATTESTER.public_key,), 2, "threshold 2 cannot be met by 1"),
    ],
)
def test_a_layout_that_means_nothing_is_refused(keys: tuple[PublicKey, ...], threshold: int, message: str) -> None:
    """No rebuilder, one counted twice, a threshold of nobody, one out of reach."""
    with pytest.raises(UsageError, match=message):
        make_layout(keys, threshold=threshold, expires=NOW)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("foo", "1.0-1", "amd64"), "foo_1.0-1_amd64.deb"),
        (("foo", "1:1.0-1", "amd64"), "foo_1%3a1.0-1_amd64.deb"),
        (("libstdc++6", "12~rc1+b2", "all"), "libstdc++6_12~rc1+b2_all.deb"),
        (("a_b", "1%2", "i.386"), "a%5fb_1%252_i%2e386.deb"),
    ],
)
def test_apt_name_is_what_apt_calls_the_file(fields: tuple[str, str, str], expected: str) -> None:
    """In apt's cache `_` and `:` are escaped in each field (and `.` in the architecture), by QuoteString."""
    assert apt_name(*fields) == expected


def _metablock() -> bytes:
    return sign_metablock(metablock_payload({"_type": "link", "name": "rebuild"}), ATTESTER)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"[]", HostileInput, "exactly signatures and signed"),
        (_metablock().replace(b'"signatures":[', b'"signatures":[{},'), HostileInput, "exactly one signature"),
        (sign_metablock(b'{"_type":"link"}', OWNER), SignatureRefused, "a signature by key"),
        (_metablock().replace(b'"sig":"', b'"sig":"zz'), HostileInput, "not hexadecimal"),
        (_metablock().replace(b'"sig":"', b'"sig":"00'), SignatureRefused, "not one that key"),
        (_metablock().replace(b"rebuild", b"rebuilt"), SignatureRefused, "not one that key"),
        (_metablock() + b" ", HostileInput, "not in the form"),
        (_metablock().replace(b'"sig":', b'"more":1,"sig":'), HostileInput, "not in the form"),
    ],
)
def test_attack_malformed_classic_metadata(data: bytes, error: type[Exception], message: str) -> None:
    """What is not exactly one signed document in published form is refused."""
    with pytest.raises(error, match=message):
        verify_metablock(data, ATTESTER.public_key)


@pytest.mark.slow
def test_the_client_of_debian_12_accepts_a_match(results: Path, tmp_path: Path) -> None:
    """in-toto 1.3.1 with securesystemslib 0.26, as in bookworm: takes layout and classic link, refuses a change."""
    venv.create(tmp_path / "old", with_pip=True)
    wanted = ["in-toto==1.3.1", "securesystemslib==0.26.0", "cryptography<42", "pynacl"]
    subprocess.run([tmp_path / "old/bin/pip", "-q", "install", *wanted], check=True, timeout=300)
    reader = Reader(home=tmp_path)
    reader.trust(ATTESTER.public_key)
    (tmp_path / "owner.json").write_text(json.dumps(OWNER.public_key.to_legacy_plain()))
    command: list[str | Path] = [tmp_path / "old/bin/in-toto-verify", "--layout", tmp_path / "root.layout"]
    command += [
        "--key-types",
        "ed25519",
        "--layout-keys",
        tmp_path / "owner.json",
        "--link-dir",
        results / "links" / POOL_NAME / "metablock",
    ]
    for addition, expected in ((b"", 0), (b"x", 1)):
        folder = tmp_path / f"files{expected}"
        folder.mkdir()
        (folder / CACHED_NAME).write_bytes(reference_bytes(POOL_NAME) + addition)
        finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert finished.returncode == expected, finished.stderr
