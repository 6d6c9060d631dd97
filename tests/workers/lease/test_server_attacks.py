"""What an attacker sends to the lease API: each is refused with its status, in JSON, and the farm is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.attest.signing import KeySigner
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, JobState
from tests.workers.lease.conftest import EVENTS_AN_HOUR, Office, new_signer
from tests.workers.lease.serving import Served, raw, refused, serving

CLAIM = b'{"kind":"compare"}'


@pytest.fixture
def served(office: Office, tmp_path: Path) -> Iterator[Served]:
    """Serve a coordinator that owes a job."""
    with serving(office, tmp_path) as coordinator:
        office.owe()
        yield coordinator


@pytest.fixture
def signer(served: Served) -> KeySigner:
    """Enrol a comparer."""
    return served.enrolled()


def test_the_honest_request_is_accepted(served: Served, signer: KeySigner) -> None:
    """Positive control: the request that the attacks below spoil gets the job."""
    answer = served.send("POST", "/v1/claim", CLAIM, served.signed(signer, "POST", "/v1/claim", CLAIM))
    assert (answer.status_code, answer.json()["job"]) == (200, 1)


def test_attack_unsigned(served: Served) -> None:
    """Nothing is given to who does not say who he is."""
    for method, path in (
        ("POST", "/v1/claim"),
        ("POST", "/v1/enrol"),
        ("GET", "/v1/blobs/sha256/" + "0" * 64),
        ("PUT", "/v1/blobs/sha256/" + "0" * 64),
    ):
        refused(served.send(method, path, CLAIM, {}), 401, "expected a signed request")


def test_attack_signed_with_another_key(served: Served, signer: KeySigner) -> None:
    """Another key under a worker's id is refused, and recorded; its own id is not enrolled."""
    thief = new_signer()
    fields = served.signed(thief, "POST", "/v1/claim", CLAIM)
    refused(served.send("POST", "/v1/claim", CLAIM, fields), 403, "is not enrolled")
    names = (thief.public_key.keyid, signer.public_key.keyid)
    fields["signature-input"] = fields["signature-input"].replace(*names)
    refused(served.send("POST", "/v1/claim", CLAIM, fields), 401, "not one that key")
    assert [kind for kind, _ in served.office.events()] == ["worker-refused"] * 2


def test_attack_replay(served: Served, signer: KeySigner) -> None:
    """A request that was heard on the wire does nothing when it is sent again, and is recorded."""
    fields = served.signed(signer, "POST", "/v1/claim", CLAIM)
    assert served.send("POST", "/v1/claim", CLAIM, fields).status_code == 200
    refused(served.send("POST", "/v1/claim", CLAIM, fields), 401, "came before")
    ((kind, detail),) = served.office.events()
    assert kind == "worker-refused"
    assert "a request with nonce" in detail


def test_a_question_may_be_repeated(served: Served, signer: KeySigner) -> None:
    """What changes nothing costs the ledger no row: a blob that is asked for twice is given twice."""
    path = f"/v1/blobs/sha256/{served.office.desk.blobs.put(b'data').hex}"
    fields = served.signed(signer, "GET", path)
    assert [served.send("GET", path, b"", fields).content for _ in range(2)] == [b"data"] * 2


def test_attack_altered_body(served: Served, signer: KeySigner) -> None:
    """Another body under the same signature is refused."""
    fields = served.signed(signer, "POST", "/v1/claim", CLAIM)
    refused(served.send("POST", "/v1/claim", b'{"kind":"sign"}', fields), 401, "as it was signed")


def test_attack_altered_path(served: Served, signer: KeySigner) -> None:
    """A signature for one path, with or without a query, is none for another."""
    fields = served.signed(signer, "POST", "/v1/claim", CLAIM)
    refused(served.send("POST", "/v1/heartbeat", CLAIM, fields), 401, "not one that key")
    refused(served.send("POST", "/v1/claim?job=1", CLAIM, fields), 401, "not one that key")


def test_a_path_with_a_slash_behind_it_is_none(served: Served, signer: KeySigner) -> None:
    """It is refused in the API's own words, and nobody is sent elsewhere, though it be signed for."""
    blob = f"/v1/blobs/sha256/{served.office.desk.blobs.put(b'data').hex}/"
    for method, path, body in (("GET", blob, b""), ("PUT", blob, b"data"), ("POST", "/v1/claim/", CLAIM)):
        answer = served.send(method, path, body, served.signed(signer, method, path, body))
        refused(answer, 404, "Not Found")
        assert answer.history == []


def test_attack_field_sent_twice(served: Served, signer: KeySigner) -> None:
    """Two signatures are none: there is nothing to choose from."""
    fields = served.signed(signer, "POST", "/v1/claim", CLAIM)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    again = f"signature: {fields['signature']}\r\n"
    answer = raw(
        served, f"POST /v1/claim HTTP/1.1\r\nHost: x\r\n{head}{again}Content-Length: 18\r\n\r\n".encode() + CLAIM
    )
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"without signature" in answer


def test_attack_hour_old_signature(served: Served, signer: KeySigner) -> None:
    """A signature that was made an hour ago is refused; that alone is no event, for clocks are wrong at times."""
    created = served.office.clock() - timedelta(hours=1)
    fields = served.signed(signer, "POST", "/v1/claim", CLAIM, created)
    refused(served.send("POST", "/v1/claim", CLAIM, fields), 401, "expected within 0:05:00")
    assert served.office.events() == []


def test_attack_revoked(served: Served, signer: KeySigner) -> None:
    """A revoked key gets nothing, not even a blob that it knows the name of."""
    digest = served.office.desk.blobs.put(b"secret of the farm")
    served.members.revoke(signer.public_key.keyid, served.office.clock())
    path = f"/v1/blobs/sha256/{digest.hex}"
    refused(served.send("GET", path, b"", served.signed(signer, "GET", path)), 403, "was revoked")


def test_attack_wrong_role(served: Served) -> None:
    """A builder asks for what is to be signed."""
    builder = served.enrolled(JobKind.REBUILD)
    body = b'{"kind":"sign"}'
    answer = served.send("POST", "/v1/claim", body, served.signed(builder, "POST", "/v1/claim", body))
    refused(answer, 403, "in the roles rebuild")


def test_attack_roles_of_ones_own(served: Served, signer: KeySigner) -> None:
    """A worker cannot bring roles, tags or a fault domain: what is not asked for is refused."""
    body = b'{"kind":"compare","tags":["arm64"],"fault_domain":"rack-9"}'
    answer = served.send("POST", "/v1/claim", body, served.signed(signer, "POST", "/v1/claim", body))
    refused(answer, 400, "not a valid ClaimWanted document")
    thief = new_signer()
    token = served.token(JobKind.COMPARE)
    body = json.dumps({"token": token, "pem": thief.public_key.pem, "name": "x", "roles": ["sign"]}).encode()
    answer = served.send("POST", "/v1/enrol", body, served.signed(thief, "POST", "/v1/enrol", body))
    refused(answer, 400, "not a valid Enrol document")


def test_attack_enrolling_a_key_of_somebody_else(served: Served) -> None:
    """Who has not the private half of a key cannot enrol it, whatever token he has."""
    token = served.token(JobKind.COMPARE)
    thief, victim = new_signer(), new_signer()
    body = json.dumps({"token": token, "pem": victim.public_key.pem, "name": "x"}).encode()
    answer = served.send("POST", "/v1/enrol", body, served.signed(thief, "POST", "/v1/enrol", body))
    refused(answer, 401, "signed by key")
    assert served.members.find(victim.public_key.keyid) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pem": "no key"}, "not a public key"),
        ({"name": "two\nlines"}, "a line of 1 to 64"),
        ({"name": ""}, "a line of 1 to 64"),
        ({"token": "x" * 300}, "1 to 256 plain characters"),
    ],
)
def test_attack_malformed_enrolment(served: Served, change: dict[str, str], words: str) -> None:
    """Each part of an enrolment is bounded and plain."""
    signer = new_signer()
    body = json.dumps({"token": "token", "pem": signer.public_key.pem, "name": "x", **change}).encode()
    answer = served.send("POST", "/v1/enrol", body, served.signed(signer, "POST", "/v1/enrol", body))
    refused(answer, 400, words)


MALFORMED = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"kind":"compare","kind":"compare"}',
    b'{"kind":"compare","job":NaN}',
    b'{"kind":"compare","job":0}',
    b'{"kind":"compare","job":2147483648}',
    b'{"kind":"compare","job":"1"}',
    b'{"kind":"compare","job":true}',
    b'{"kind":"everything"}',
    b'{"kind":"\xff"}',
    b"[" * 15_000,
)


def test_attack_malformed_json(served: Served, signer: KeySigner) -> None:
    """What is not exactly the document is refused, though its signature is right, and recorded with its sender."""
    for body in MALFORMED:
        answer = served.send("POST", "/v1/claim", body, served.signed(signer, "POST", "/v1/claim", body))
        refused(answer, 400, "")
    events = served.office.events()
    assert [kind for kind, _ in events] == ["report-refused"] * min(len(MALFORMED), EVENTS_AN_HOUR)
    assert all(detail.startswith("/v1/claim: not ") for _, detail in events)


CONTRADICTORY = (
    b'{"job":1,"fence":1,"outcome":"done"}',
    b'{"job":1,"fence":1,"outcome":"failed"}',
    b'{"job":1,"fence":1,"outcome":"failed","cause":"infrastructure","output":"sha256:%s"}' % (b"0" * 64),
    b'{"job":1,"fence":1,"outcome":"done","output":"sha256:0"}',
    b'{"job":1,"fence":1,"outcome":"done","output":"sha256:%s","message":"x"}' % (b"0" * 64),
    b'{"job":1,"fence":1,"outcome":"failed","cause":"bad luck"}',
)


def test_attack_contradictory_report(served: Served, signer: KeySigner) -> None:
    """A report is done with an output, or failed with a cause: nothing between, and the job stays as it is."""
    for body in CONTRADICTORY:
        answer = served.send("POST", "/v1/report", body, served.signed(signer, "POST", "/v1/report", body))
        refused(answer, 400, "not a valid Report document")
        assert served.office.desk.jobs.job(1).state is JobState.READY


NOBODYS = (
    b'{"job":77,"fence":1,"outcome":"failed","cause":"infrastructure","message":"x"}',
    b'{"job":77,"fence":1,"outcome":"done","output":"sha256:%s"}' % (b"0" * 64),
    b'{"job":2147483647,"fence":1,"outcome":"failed","cause":"infrastructure","message":"x"}',
)


def test_attack_report_on_a_job_that_there_is_not(served: Served, signer: KeySigner) -> None:
    """It is refused, and recorded with its sender, whichever number was made up."""
    for body in NOBODYS:
        answer = served.send("POST", "/v1/report", body, served.signed(signer, "POST", "/v1/report", body))
        refused(answer, 400, "no job ")
    events = served.office.events()
    assert [kind for kind, _ in events] == ["report-refused"] * len(NOBODYS)
    assert all(detail.startswith("/v1/report: no job ") for _, detail in events)


def test_a_report_sent_twice_is_accepted_twice(served: Served, signer: KeySigner) -> None:
    """The answer to the first may have got lost: the same again is 200, another one is 409."""
    assert served.leases(signer).claim(JobKind.COMPARE) is not None
    outputs = [served.office.desk.blobs.put(data) for data in (b"one", b"two")]
    statuses = []
    for output in (outputs[0], outputs[0], outputs[1]):
        body = json.dumps({"job": 1, "fence": 1, "outcome": "done", "output": str(output)}).encode()
        answer = served.send("POST", "/v1/report", body, served.signed(signer, "POST", "/v1/report", body))
        statuses.append(answer.status_code)
    assert statuses == [200, 200, 409]
    assert [kind for kind, _ in served.office.events()] == ["lease-refused"]


def test_attack_blob_with_other_bytes(served: Served, signer: KeySigner) -> None:
    """A blob is the bytes that its name says: other ones are refused by what was signed, or by what came."""
    named = Digest.of(b"expected")
    path = f"/v1/blobs/sha256/{named.hex}"
    refused(
        served.send("PUT", path, b"something", served.signed(signer, "PUT", path, b"something")), 422, "as it is signed"
    )
    refused(
        served.send("PUT", path, b"something", served.signed(signer, "PUT", path, b"expected")), 422, "found sha256:"
    )
    assert not served.office.desk.blobs.has(named)
    assert list((served.root / "spool").iterdir()) == []


def test_attack_overwritten_blob(served: Served, signer: KeySigner) -> None:
    """A blob that is there stays as it is: putting is create-only."""
    digest = served.office.desk.blobs.put(b"expected")
    path = f"/v1/blobs/sha256/{digest.hex}"
    answer = served.send("PUT", path, b"changed!", served.signed(signer, "PUT", path, b"expected"))
    assert answer.status_code == 200
    assert served.office.desk.blobs.get(digest) == b"expected"


def test_attack_blob_without_a_length(served: Served, signer: KeySigner) -> None:
    """A body of unknown length is not taken."""
    digest = Digest.of(b"data")
    path = f"/v1/blobs/sha256/{digest.hex}"
    fields = served.signed(signer, "PUT", path, b"data")
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"PUT {path} HTTP/1.1\r\nHost: x\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert raw(served, request + b"4\r\ndata\r\n0\r\n\r\n").startswith(b"HTTP/1.1 411 ")


TRICKS = (
    "..%2f..%2f..%2fetc%2fpasswd",
    "../../../../etc/passwd",
    "%2e%2e/" + "0" * 61,
    "A" * 64,
    "0" * 63,
    "0" * 65,
    "0" * 63 + "%00",
    "0" * 63 + "%0a",
    "",
)


def test_attack_path_tricks_in_a_blobs_name(served: Served, signer: KeySigner) -> None:
    """A blob is named by 64 hexadecimal digits; anything else is no blob, whoever signs for it."""
    for name in TRICKS:
        path = f"/v1/blobs/sha256/{name}"
        fields = served.signed(signer, "GET", path)
        head = "".join(f"{field}: {value}\r\n" for field, value in fields.items())
        answer = raw(served, f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"root:" not in answer


def test_attack_flood_of_strangers(served: Served) -> None:
    """Refusals of strangers fill the ledger up to a bound, then only the log."""
    stranger = new_signer()
    for _ in range(EVENTS_AN_HOUR + 5):
        fields = served.signed(stranger, "POST", "/v1/claim", CLAIM)
        assert served.send("POST", "/v1/claim", CLAIM, fields).status_code == 403
    assert len(served.office.events()) == EVENTS_AN_HOUR


def test_attack_control_characters_in_a_reason(served: Served, signer: KeySigner) -> None:
    """What a worker writes is shown as one plain line."""
    body = json.dumps({"task": "a\x00b", "reason": "\x1b[2J\nnew line", "job": 1}).encode()
    assert served.send("POST", "/v1/refused", body, served.signed(signer, "POST", "/v1/refused", body)).ok
    ((_, detail),) = served.office.events()
    assert detail.endswith("for job 1: ?[2J?new line")


def test_unknown_paths_and_methods_are_json(served: Served) -> None:
    """There is nothing else to be found, and it is said in the same form."""
    refused(served.send("GET", "/admin", b"", {}), 404, "Not Found")
    refused(served.send("DELETE", "/v1/claim", b"", {}), 405, "Method Not Allowed")


def test_a_mistake_of_ours_shows_no_traceback(
    served: Served, signer: KeySigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw is answered in the same form; its story stays in the coordinator's log."""

    def burst(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(served.members, "seen", burst)
    answer = served.send("POST", "/v1/claim", CLAIM, served.signed(signer, "POST", "/v1/claim", CLAIM))
    refused(answer, 500, "the coordinator failed")
    assert "secret detail" not in answer.text
