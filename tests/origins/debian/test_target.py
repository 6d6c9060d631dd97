"""Targets of the Debian archive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.errors import UnknownTarget, UsageError
from rebuilder.origins.debian import target


@pytest.mark.parametrize(
    ("text", "purl"),
    [
        ("deb:trixie/cjson", "pkg:deb/debian/cjson?arch=source&distro=trixie"),
        ("deb:trixie-security/cjson", "pkg:deb/debian/cjson?arch=source&distro=trixie-security"),
        (
            "deb:trixie/cjson=1.7.18-3.1+deb13u1",
            "pkg:deb/debian/cjson@1.7.18-3.1%2Bdeb13u1?arch=source&distro=trixie",
        ),
        ("deb:sid/git=1:2.47.2-0.1~x", "pkg:deb/debian/git@1:2.47.2-0.1~x?arch=source&distro=sid"),
        ("deb:sid/gtk+2.0", "pkg:deb/debian/gtk%2B2.0?arch=source&distro=sid"),
        ("pkg:deb/debian/cjson?distro=trixie", "pkg:deb/debian/cjson?arch=source&distro=trixie"),
        (
            "pkg:deb/debian/cjson@1.7.18-3.1+deb13u1?arch=source&distro=trixie",
            "pkg:deb/debian/cjson@1.7.18-3.1%2Bdeb13u1?arch=source&distro=trixie",
        ),
        (
            "pkg:deb/debian/libcjson1@1.7.18-3.1%2Bdeb13u1?arch=amd64&distro=trixie",
            "pkg:deb/debian/libcjson1@1.7.18-3.1%2Bdeb13u1?arch=amd64&distro=trixie",
        ),
    ],
)
def test_a_target_has_one_canonical_form(text: str, purl: str) -> None:
    """Shorthand and purls become one package URL, with `+` escaped; reading that again changes nothing."""
    parsed = target.parse(text)
    assert parsed.purl == purl
    assert target.parse(purl) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cjson",
        "deb:",
        "deb:cjson",
        "deb:trixie/",
        "deb:/cjson",
        "deb:trixie/a",
        "deb:trixie/Cjson",
        "deb:trixie/../etc",
        "deb:trixie/cjson/x",
        "deb:trixie/cjson=",
        "deb:trixie/cjson=1 2",
        "deb:trixie/cjson=1;rm",
        "deb:trixie/cjson=../1",
        "deb:../cjson",
        "deb:trixie\n/cjson",
        "deb:trixie/cjson\n",
        "deb:TRIXIE/cjson",
        "deb:trixie/" + "a" * 300,
        "deb:trixie/" + "a" * 3000,
        "pkg:deb/debian/cjson",
        "pkg:deb/debian/cjson?arch=source",
        "pkg:deb/debian/cjson?arch=../x&distro=trixie",
        "pkg:deb/debian/cjson?distro=trixie&repository_url=evil",
        "pkg:deb/debian/cjson?distro=trixie#sub/path",
        "pkg:",
        "pkg:deb",
    ],
)
def test_a_malformed_or_hostile_target_is_refused_with_a_hint(text: str) -> None:
    """Names, versions and suites that policy does not allow never become paths or addresses."""
    with pytest.raises(UsageError) as caught:
        target.parse(text)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_another_distribution_is_unknown() -> None:
    """A purl of another vendor's archive is not looked up in Debian's."""
    with pytest.raises(UnknownTarget, match="is not a package of Debian"):
        target.parse("pkg:deb/ubuntu/cjson?distro=noble")


def test_which_targets_are_debians() -> None:
    """The pipeline asks each origin which targets are its own."""
    assert target.is_debian("deb:trixie/cjson")
    assert target.is_debian("pkg:deb/debian/cjson?distro=trixie")
    assert not target.is_debian("pkg:pypi/idna@3.20")


@given(st.text(max_size=80))
def test_no_text_leaks_a_foreign_exception(text: str) -> None:
    """Whatever a person types: a target or our error."""
    for each in (text, f"deb:{text}", f"pkg:deb/debian/{text}", f"deb:trixie/x{text}"):
        try:
            parsed = target.parse(each)
        except UsageError:
            continue
        assert target.parse(parsed.purl) == parsed
