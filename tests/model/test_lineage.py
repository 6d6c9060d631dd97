"""Which version is the newest, and which suites are one line of a package."""

from __future__ import annotations

import pytest
from debian.debian_support import Version

from rebuilder.model.lineage import base_suite, version_key

VERSIONS = (
    "1.0", "1.0-0", "1.0-1", "1.0-1+b2", "1.0-1+deb13u1", "1.0-1~bpo12+1", "1.0~rc1-1", "1.0~~-1", "1.00-1", "1.0a-1",
    "1.0+dfsg-1", "1.0.0-1", "1.10-1", "1.9-1", "1:0.1-1", "0:1.0-1", "2-1", "10-1", "1.0-1.1", "1.0-rc-1", "a-1",
    "1a0", "1a",
)  # fmt: skip


@pytest.mark.parametrize("one", VERSIONS)
def test_debian_versions_are_ordered_as_debian_does(one: str) -> None:
    """Every pair compares as python-debian's own implementation says."""
    for other in VERSIONS:
        ours, theirs = version_key("deb", one), version_key("deb", other)
        known = Version(one), Version(other)
        assert (ours < theirs, ours == theirs) == (known[0] < known[1], known[0] == known[1]), other


@pytest.mark.parametrize(
    "text", ["", "-", ":", "9" * 100_000, "\u0661.\u0662-3", "\x00~", "1:2:3-4-5", "99999999999:1"]
)
def test_what_is_no_version_has_a_place_too(text: str) -> None:
    """Hostile text as a version neither fails nor takes long."""
    assert version_key("deb", text) <= version_key("local-deb", text)
    assert (version_key("deb", text) < version_key("deb", "1.0")) in {True, False}


def test_an_unknown_order_prefers_none() -> None:
    """Where the ecosystem's order is not known, no version is newer than another."""
    assert version_key("pypi", "1.0") == version_key("pypi", "2.0")


@pytest.mark.parametrize(
    ("suite", "base"),
    [
        ("trixie", "trixie"),
        ("trixie-security", "trixie"),
        ("trixie-updates", "trixie"),
        ("trixie-proposed-updates", "trixie"),
        ("buster/updates", "buster"),
        ("bookworm-backports", "bookworm-backports"),
        ("-security", "-security"),
        ("", ""),
    ],
)
def test_a_suite_of_fixes_is_of_its_suite(suite: str, base: str) -> None:
    """Security and updates continue a suite, backports do not."""
    assert base_suite(suite) == base
