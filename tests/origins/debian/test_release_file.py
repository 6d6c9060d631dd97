"""What a signed Release file must say, and how old it may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.config import Policy
from rebuilder.errors import HostileInput, StaleInput, UntrustedError
from rebuilder.origins.debian import release_file

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = "a" * 64
HEAD = (
    "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2026 09:15:44 UTC\nArchitectures: all amd64\n"
)
BODY = f"Components: main updates/contrib\nSHA256:\n {DIGEST} 12 main/binary-amd64/Packages\n"


def parse(text: str) -> release_file.ReleaseFile:
    """Parse a Release file."""
    return release_file.parse(text.encode(), "trixie InRelease")


def test_a_release_file_is_read() -> None:
    """The fields that matter, and the digests."""
    read = parse(HEAD + "Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n" + BODY)
    assert (read.suite, read.codename, read.by_hash, read.all_is_apart) == ("stable", "trixie", True, False)
    assert read.date == datetime(2026, 11, 21, 9, 15, 44, tzinfo=UTC)
    assert read.components == ("main", "contrib")
    assert read.entries["main/binary-amd64/Packages"].size_bytes == 12
    assert parse(HEAD + BODY).all_is_apart


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Date is no date"),
        (HEAD, "lists no SHA-256 digests"),
        (HEAD.replace("21 Nov", "41 Nov") + BODY, "Date is no date"),
        (HEAD + "Valid-Until: never\n" + BODY, "Valid-Until is no date"),
        (HEAD + BODY + f" {DIGEST} 12\n", "unreadable SHA256 line"),
        (HEAD + BODY + f" {DIGEST} -1 main/x\n", "unreadable SHA256 line"),
        (HEAD + BODY + f" {DIGEST} 1 ../../etc/passwd\n", "unreadable SHA256 line"),
        (HEAD + BODY + f" {DIGEST} 1 /etc/passwd\n", "unreadable SHA256 line"),
        (HEAD + BODY + f" {DIGEST[:-1]} 1 main/x\n", "not a SHA-256"),
        (HEAD + BODY + f" {DIGEST} 13 main/binary-amd64/Packages\n", "is listed with two digests"),
    ],
)
def test_a_malformed_release_file_is_refused(text: str, words: str) -> None:
    """Even signed, it must be unambiguous."""
    with pytest.raises(HostileInput, match=words):
        parse(text)


@pytest.mark.parametrize("asked", ["trixie", "stable"])
def test_a_suite_may_be_asked_by_codename_or_role(asked: str) -> None:
    """The signed fields name both."""
    release_file.verify_identity(parse(HEAD + BODY), asked, "x")


@pytest.mark.parametrize("asked", ["bookworm", "trixie-security", "", "trixi"])
def test_a_file_of_another_suite_is_refused(asked: str) -> None:
    """A mirror that serves one suite under another's name is found out."""
    with pytest.raises(UntrustedError, match=f"asked for the suite {asked}, and the signed file is that of trixie"):
        release_file.verify_identity(parse(HEAD + BODY), asked, "x")


def judge(text: str, **policy: object) -> tuple[str, ...]:
    """Judge the freshness at NOW."""
    return release_file.judge_freshness(parse(text + BODY), NOW, Policy(**policy), "x")  # type: ignore[arg-type]


def test_freshness_is_unknown_without_valid_until_and_bounded_by_policy() -> None:
    """Accepted within the bound, and said so; refused beyond it."""
    assert judge(HEAD) == ("freshness: unknown, for it has no Valid-Until; dated 2026-11-21T09:15:44Z",)
    with pytest.raises(StaleInput, match="is 3 days ago; policy accepts 2"):
        judge(HEAD, unknown_freshness_max_age=timedelta(days=2))


def test_an_expired_file_is_refused_unless_policy_accepts_it() -> None:
    """Expiry is the archive's own word."""
    assert judge(HEAD + "Valid-Until: Wed, 25 Nov 2026 09:15:44 UTC\n") == ()
    expired = HEAD + "Valid-Until: Sun, 22 Nov 2026 09:15:44 UTC\n"
    with pytest.raises(StaleInput, match="expired on 2026-11-22T09:15:44Z, 2 days ago"):
        judge(expired)
    assert judge(expired, accept_expired=True) == ("freshness: expired since 2026-11-22T09:15:44Z, accepted by policy",)


def test_a_file_from_the_future_is_refused() -> None:
    """More than an hour ahead is no clock drift."""
    assert judge(HEAD.replace("Sat, 21 Nov 2026 09:15:44", "Tue, 24 Nov 2026 12:59:00"))
    with pytest.raises(StaleInput, match="which is after now"):
        judge(HEAD.replace("Sat, 21 Nov 2026 09:15:44", "Tue, 24 Nov 2026 13:01:00"))


def test_going_back_in_time_is_refused_unless_policy_accepts_it(tmp_path: Path) -> None:
    """The highest Date seen is remembered across runs, and an accepted rollback does not lower it."""
    memory = tmp_path / "debian" / "trixie.json"
    newer, older = parse(HEAD + BODY), parse(HEAD.replace("21 Nov", "20 Nov") + BODY)
    assert release_file.remember(newer, memory, Policy(), "x") == ("rollback: this suite was not seen here before",)
    assert release_file.remember(newer, memory, Policy(), "x") == ()
    with pytest.raises(StaleInput, match="dated 2026-11-20T09:15:44Z, but one of 2026-11-21T09:15:44Z was seen"):
        release_file.remember(older, memory, Policy(), "x")
    accepted = release_file.remember(older, memory, Policy(accept_rollback=True), "x")
    assert accepted == ("rollback: one of 2026-11-21T09:15:44Z was seen before, accepted by policy",)
    with pytest.raises(StaleInput):
        release_file.remember(older, memory, Policy(), "x")


def test_an_alias_is_named_where_its_suite_went_back(tmp_path: Path) -> None:
    """Whoever asked for stable learns that trixie is meant, which was seen newer elsewhere."""
    memory = tmp_path / "trixie.json"
    newer, older = parse(HEAD + BODY), parse(HEAD.replace("21 Nov", "20 Nov") + BODY)
    release_file.remember(newer, memory, Policy(), "x", suite=newer.codename)
    with pytest.raises(StaleInput, match=rf"; stable is an alias of {newer.codename}, and this mirror's copy is older"):
        release_file.remember(older, memory, Policy(), "x", suite="stable")
    with pytest.raises(StaleInput, match=r"was seen before$"):
        release_file.remember(older, memory, Policy(), "x", suite=newer.codename)


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"date": 3}', '{"date": "yesterday"}'])
def test_a_damaged_memory_is_refused_not_forgotten(damage: str, tmp_path: Path) -> None:
    """Otherwise damaging it would be the way around it."""
    memory = tmp_path / "trixie.json"
    memory.write_text(damage)
    with pytest.raises(StaleInput, match="is damaged"):
        release_file.remember(parse(HEAD + BODY), memory, Policy(), "x")
