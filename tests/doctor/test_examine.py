"""Everything that a verification needs is looked at, and nothing raises."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key, key_path
from rebuilder.config import Archive, DebianSettings, load_settings
from rebuilder.doctor import Condition, Finding, examine, worst
from rebuilder.doctor.archives import examine_archives
from rebuilder.doctor.reports import examine_reports, parse_missing_tools
from rebuilder.doctor.trust import examine_keyring, examine_keys
from rebuilder.errors import NetworkFailure
from rebuilder.model.digest import Digest

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ARCHIVE = Archive(label="debian", uri="http://archive.test/debian/", suites=("trixie", "*"))


class Mirror:
    """A fetcher that has some files."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def get(self, url: str, *, limit_bytes: int) -> bytes:
        """Give the file, or fail as a mirror that is down."""
        if url not in self.files:
            raise NetworkFailure(f"{url}: ConnectionError", hint="is the mirror reachable from here?")
        return self.files[url][:limit_bytes]

    def download(
        self, url: str, path: Path, *, size_bytes: int | None, digest: Digest | None, limit_bytes: int
    ) -> Digest:
        """Nothing is downloaded by the doctor."""
        raise NotImplementedError(url, path, size_bytes, digest, limit_bytes)


def finding(condition: Condition) -> Finding:
    """Make a finding of that condition."""
    return Finding(name="thing", condition=condition, found="it", purpose="for it")


def test_a_bare_machine_is_examined_without_an_error(tmp_path: Path) -> None:
    """No engine, no keyrings, no keys, no archive: all of it is findings with a remedy."""
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/none"}
    environment |= {f"REBUILDER_{name}": str(tmp_path / name) for name in ("CACHE", "STATE", "RESULTS")}
    environment["REBUILDER_DEBIAN_ARCHIVE_KEYRING"] = str(tmp_path / "none.gpg")
    findings = examine(load_settings(environment=environment), now=NOW)
    by_name = {each.name: each for each in findings}
    assert by_name["engine"].condition is Condition.MISSING
    assert by_name["archive keyring"].condition is Condition.MISSING
    assert by_name["attestation key"].found == "none yet: made on first use"
    assert worst(findings) is Condition.MISSING
    assert all(each.remedy for each in findings if each.condition is not Condition.OK)


def test_the_worst_condition_speaks_for_all() -> None:
    """One missing thing outweighs any warning, a warning outweighs what is fine."""
    assert worst((finding(Condition.OK), finding(Condition.MISSING), finding(Condition.WARN))) is Condition.MISSING
    assert worst((finding(Condition.OK), finding(Condition.WARN))) is Condition.WARN
    assert worst((finding(Condition.OK),)) is Condition.OK


def test_a_key_that_others_may_read_is_reported(tmp_path: Path) -> None:
    """A private key open to others is worse than none: the remedy is a new one."""
    ensure_key(tmp_path, Role.ATTESTATION)
    assert [each.condition for each in examine_keys(tmp_path)] == [Condition.OK, Condition.OK]
    path = key_path(tmp_path, Role.ATTESTATION)
    path.chmod(path.stat().st_mode | stat.S_IRGRP)
    found = examine_keys(tmp_path)[0]
    assert found.condition is Condition.MISSING
    assert "make a new one" in (found.remedy or "")


def test_a_file_that_is_no_keyring_is_reported(tmp_path: Path) -> None:
    """What stands at a keyring's place is read, not only seen."""
    (tmp_path / "ring.gpg").write_bytes(b"not a keyring")
    found = examine_keyring("ring", tmp_path / "ring.gpg", "signatures", absent=Condition.WARN, now=NOW)
    assert found.condition is Condition.WARN
    assert "ring.gpg" in found.found


def test_mirrors_are_asked_only_with_a_fetcher(tmp_path: Path) -> None:
    """Without one the configuration is stated; with one each mirror's signed index is asked for."""
    settings = DebianSettings(archives=(ARCHIVE,))
    assert [each.name for each in examine_archives(settings, None, tmp_path)] == ["mirrors"]
    there = Mirror({"http://archive.test/debian/dists/trixie/InRelease": b"signed"})
    answers = examine_archives(settings, there, tmp_path)
    assert (answers[1].condition, answers[1].found) == (Condition.OK, "answers: trixie, 6 bytes")
    down = examine_archives(settings, Mirror({}), tmp_path)[1]
    assert (down.condition, down.remedy) == (Condition.MISSING, "is the mirror reachable from here?")


def test_no_archive_at_all_is_reported(tmp_path: Path) -> None:
    """A machine without apt sources and settings is told how to name an archive."""
    (found,) = examine_archives(DebianSettings(), None, tmp_path)
    assert found.condition is Condition.MISSING
    assert "rebuilder.toml" in (found.remedy or "")


def test_diffoscope_s_own_list_is_read() -> None:
    """The tools that diffoscope misses are the ones that it names itself."""
    text = "Available-in-Debian-packages: x\nExternal-Tools-Required: 7z, radare2\nMissing-Python-Modules: y\n"
    assert parse_missing_tools(text) == ("7z", "radare2")
    assert parse_missing_tools("") == ()


def test_an_absent_diffoscope_is_reported(tmp_path: Path) -> None:
    """Without diffoscope nothing can be explained: missing, with the way to get it."""
    found = examine_reports(tmp_path / "diffoscope")
    assert found.condition is Condition.MISSING
    assert found.remedy


@pytest.mark.engine
def test_the_engine_of_this_machine_will_do(tmp_path: Path) -> None:
    """The engine that the tests use has all that builds need."""
    settings = load_settings(environment=None, overrides={"results": str(tmp_path)})
    engine = [each for each in examine(settings, now=datetime.now(UTC)) if each.name.startswith("engine")]
    assert len(engine) >= 4
    assert Condition.MISSING not in {each.condition for each in engine}
