"""Which archives carry a suite, by apt's own configuration or the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.config import Archive, DebianSettings
from rebuilder.errors import ConfigurationError
from rebuilder.origins.debian import mirrors

DEB822 = """\
# a comment
Types: deb deb-src
# another, inside
URIs: http://mirror.archive.test/debian http://second.archive.test/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.archive.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://disabled.archive.test/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: https://vendor.archive.test/linux/debian
Suites: bookworm
Components: stable
Signed-By: /etc/apt/keyrings/vendor.asc

Types: deb
URIs: https://embedded.archive.test/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = """\
deb http://old.archive.test/debian bookworm main # trailing
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://old.archive.test/debian sid non-free
deb-src http://old.archive.test/debian bookworm main
deb http://old.archive.test/debian-security bookworm-security main
deb http://vendor.archive.test/linux/debian bookworm stable
deb http://vendor.archive.test/apt flat/
deb cdrom:[Debian 12]/ bookworm main
deb [signed-by=/etc/apt/keyrings/x.gpg] http://vendor.archive.test/debian bookworm main
# deb http://commented.archive.test/debian bookworm main
nonsense
"""


def write(apt: Path, *, one_line: str = "", deb822: str = "") -> Path:
    """Write an apt configuration."""
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text(one_line)
    (apt / "sources.list.d" / "debian.sources").write_text(deb822)
    (apt / "sources.list.d" / "ignored.sources~").write_text("Types: deb\nURIs: http://backup.archive.test/debian\n")
    return apt


def test_deb822_sources_give_debians_mirrors_alone(tmp_path: Path) -> None:
    """Disabled entries, other vendors' and embedded keys are no candidates; several addresses are mirrors of one."""
    found = mirrors.configured_archives(DebianSettings(), write(tmp_path, deb822=DEB822))
    assert [(each.label, each.uri, each.suites, each.components) for each in found] == [
        ("debian", "http://mirror.archive.test/debian", ("*",), ("main", "contrib")),
        ("debian", "http://second.archive.test/debian", ("*",), ("main", "contrib")),
        ("debian-security", "http://mirror.archive.test/debian-security", ("*-security",), ("main",)),
    ]


def test_one_line_sources_give_the_same(tmp_path: Path) -> None:
    """The old format, with and without options; components of one address are joined."""
    found = mirrors.configured_archives(DebianSettings(), write(tmp_path, one_line=ONE_LINE))
    assert [(each.label, each.uri, each.components) for each in found] == [
        ("debian", "http://old.archive.test/debian", ("main", "non-free")),
        ("debian-security", "http://old.archive.test/debian-security", ("main",)),
    ]


@pytest.mark.parametrize(
    ("suite", "parts"),
    [
        ("trixie", [("trixie", "debian"), ("trixie-updates", "debian"), ("trixie-security", "debian-security")]),
        ("stable", [("stable", "debian"), ("stable-updates", "debian"), ("stable-security", "debian-security")]),
        ("sid", [("sid", "debian")]),
        ("unstable", [("unstable", "debian")]),
        ("experimental", [("experimental", "debian")]),
        ("trixie-security", [("trixie-security", "debian-security")]),
        ("trixie-backports", [("trixie-backports", "debian")]),
    ],
)
def test_a_suite_of_another_release_is_served_by_the_same_archives(
    suite: str, parts: list[tuple[str, str]], tmp_path: Path
) -> None:
    """A host that has bookworm in its sources can verify trixie and sid; security suites are on their own archive."""
    apt = write(tmp_path, deb822=DEB822)
    assert [(part.suite, part.label) for part in mirrors.archives_for(suite, DebianSettings(), apt)] == parts


def test_a_configured_archive_that_names_its_suites_is_asked_for_no_other(tmp_path: Path) -> None:
    """Settings win over apt; a follower that nobody carries is left out, the suite itself may not be."""
    only = Archive(label="frozen", uri="http://127.0.0.1:1/debian", suites=("trixie",))
    settings = DebianSettings(archives=(only,))
    parts = mirrors.archives_for("trixie", settings, write(tmp_path, deb822=DEB822))
    assert [(part.suite, part.mirrors) for part in parts] == [("trixie", (only,))]
    with pytest.raises(ConfigurationError, match="no configured archive carries the suite bookworm"):
        mirrors.archives_for("bookworm", settings, tmp_path)


def test_a_machine_without_debian_archives_is_told_how_to_name_them(tmp_path: Path) -> None:
    """On another distribution the settings must say."""
    with pytest.raises(ConfigurationError, match="no Debian archive is configured") as caught:
        mirrors.configured_archives(DebianSettings(), tmp_path / "none")
    assert "rebuilder.toml" in (caught.value.hint or "")
