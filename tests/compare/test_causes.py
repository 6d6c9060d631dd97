"""Differences are named, the ones that matter first."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.compare.files import compare_file
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.rule import BYTES, DEB, rule_by_id, rule_for
from rebuilder.compare.tokens import explain_line
from rebuilder.errors import UsageError
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.verdict import Verdict
from tests.compare.conftest import CompareDebs
from tests.compare.makers import ELF, Deb, Entry, elf_section, sample, with_other_build_id


def _script(content: str) -> Deb:
    return replace(sample(), scripts=(Entry(name="./postinst", content=content.encode(), mode=0o755),))


@pytest.mark.parametrize(
    ("other", "causes"),
    [
        (_script("#!/bin/sh\nset -e\nfetch | sh\nexit 0\n"), (Cause.MAINTAINER_SCRIPT_CHANGED,)),
        (_script("#!/bin/sh\nset -e\nexit 0\n# Automatically added by x\n"), (Cause.MAINTAINER_SCRIPT_CHANGED,)),
        (replace(sample(), scripts=()), (Cause.MAINTAINER_SCRIPT_CHANGED,)),
        (replace(sample(), scripts=(*sample().scripts, Entry(name="./prerm"))), (Cause.MAINTAINER_SCRIPT_CHANGED,)),
        (replace(sample(), control=sample().control.replace("5.36.0", "5.40.1")), (Cause.DEPENDENCY_VERSION,)),
        (replace(sample(), control=sample().control.replace(">= 5", "<< 5")), (Cause.PAYLOAD_CHANGED,)),
        (replace(sample(), control=sample().control.replace("perl", "evil")), (Cause.PAYLOAD_CHANGED,)),
        (replace(sample(), control=sample().control + "Essential: yes\n"), (Cause.PAYLOAD_CHANGED,)),
        (replace(sample(), control=sample().control + "Installed-Size: 3\n"), (Cause.ARCHIVE_METADATA,)),
        (replace(sample(), control=sample().control + " \n"), (Cause.PAYLOAD_CHANGED,)),
        (sample().with_file("./usr/bin/tool", b"#!/bin/sh\necho two\n"), (Cause.PAYLOAD_CHANGED,)),
        (sample().with_file("./usr/share/doc/sample/README", b"Read me.\nOr not.\n"), (Cause.DOCUMENTATION,)),
        (replace(sample(), extra=(("_evil", b"x"),)), (Cause.PAYLOAD_CHANGED,)),
    ],
)
def test_cause_of_one_difference(against_sample: CompareDebs, other: Deb, causes: tuple[Cause, ...]) -> None:
    """One thing differs; it has this cause, and the verdict is different."""
    found = against_sample(other)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, causes)


def test_debhelper_version_in_a_script_is_the_toolchain(against_sample: CompareDebs) -> None:
    """A script in which only debhelper's comment differs is not a changed script; it is still different."""
    text = "#!/bin/sh\n# Automatically added by dh_installinit/{}\nexit 0\n# End automatically added section\n"
    found = against_sample(_script(text.format("13.24.2")), reference=_script(text.format("13.11.4")))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.TOOLCHAIN_VERSION,))
    called = "#!/bin/sh\ndh_installinit/{} || true\n"
    found = against_sample(_script(called.format("13.24.2")), reference=_script(called.format("13.11.4")))
    assert found.causes[0] is Cause.MAINTAINER_SCRIPT_CHANGED


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        (
            "triggers",
            "# Triggers added by dh_makeshlibs/{}\nactivate-noawait ldconfig\n",
            "13.1 13.2",
            "toolchain-version",
        ),
        ("triggers", "activate-noawait {}\n", "ldconfig evil", "payload-changed"),
        ("shlibs", "libx 1 libx1 (>= {})\n", "1.0 1.2", "dependency-version"),
        ("shlibs", "libx 1 {} (>= 1.0)\n", "libx1 liby1", "payload-changed"),
        ("conffiles", "/etc/{}\n", "a b", "payload-changed"),
    ],
)
def test_control_members(against_sample: CompareDebs, name: str, old: str, new: str, cause: str) -> None:
    """Members of control.tar that are no scripts: tool and library versions are named, all else counts."""
    one, other = new.split()
    first, second = (
        replace(sample(), scripts=(Entry(name=f"./{name}", content=old.format(value).encode()),))
        for value in (one, other)
    )
    assert against_sample(second, reference=first).causes == (Cause(cause),)


def test_drift_as_it_happens(against_sample: CompareDebs) -> None:
    """A newer library in Depends and another build-id: different, with these two causes and no other."""
    other = sample().with_file("./usr/bin/sample", with_other_build_id(ELF.read_bytes()))
    found = against_sample(replace(other, control=other.control.replace("5.36.0", "5.40.1")))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.DEPENDENCY_VERSION, Cause.BUILD_ID))
    assert [stabilizer.name for stabilizer in found.stabilizers] == ["elf-build-id"]


def test_date_compiled_into_a_program(against_sample: CompareDebs) -> None:
    """A date in a data section is named; the verdict stays different."""
    data = ELF.read_bytes()
    offset, _ = elf_section(data, ".rodata")

    def dated(date: bytes) -> Deb:
        return sample().with_file("./usr/bin/sample", data[: offset + 64] + b"\0" + date + b"\0" + data[offset + 76 :])

    found = against_sample(dated(b"2024-01-31"), reference=dated(b"2025-12-24"))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.BUILD_DATE,))


def test_findings_are_bounded_and_counted(against_sample: CompareDebs) -> None:
    """A thousand changes give a bounded list, the script among them first, and the number of those left out."""

    def deb(content: bytes, script: bytes) -> Deb:
        files = tuple(Entry(name=f"./usr/share/f{number}", content=content) for number in range(1000))
        return replace(
            sample(), data=(*sample().data, *files), scripts=(Entry(name="./prerm", content=script, mode=0o755),)
        )

    found = against_sample(deb(b"one", b"#!/bin/sh\n:\n"), reference=deb(b"two", b"#!/bin/sh\n"))
    assert found.findings[0].cause is Cause.MAINTAINER_SCRIPT_CHANGED
    assert len(found.findings) <= 400
    assert len(found.findings) + found.findings_omitted == 2001
    assert len(codec.render(found)) < 1024**2


def test_attack_sums_of_files_that_do_not_exist(against_sample: CompareDebs) -> None:
    """An md5sums with far more lines than there are files is one finding, not one for each line."""
    lines = [b"".join(b"%032x  f%d\n" % (salt, number) for number in range(20_000)) for salt in (1, 2)]
    debs = [replace(sample(), stale_md5sums=content) for content in lines]
    found = against_sample(debs[1], reference=debs[0])
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.PAYLOAD_CHANGED,))
    assert len(found.findings) == 1
    assert "far more than data.tar has files" in found.findings[0].detail


def test_a_comparison_can_be_stored(against_sample: CompareDebs) -> None:
    """Whatever bytes names and values have, the noun survives the canonical codec."""
    odd = Entry(name="./usr/\udcff\n\x1b[31m/\u202e", content=b"x")
    found = against_sample(replace(sample(), data=(*sample().data, odd)))
    assert codec.parse(codec.render(found), ArtifactComparison) == found
    assert all(finding.path.isprintable() for finding in found.findings)


def test_unreadable_never_looks_better(against_sample: CompareDebs) -> None:
    """A corrupt .deb, a truncated one, and one that is none: payload, with the reason why it was not opened."""
    data = sample().build()
    for other in (data[:-300], data[:-200] + bytes([data[-200] ^ 1]) + data[-199:], b"no .deb at all", b""):
        found = against_sample(other)
        assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.PAYLOAD_CHANGED,))


def test_a_bomb_counts_as_payload(tmp_path: Path) -> None:
    """What unpacks beyond its budget is different, and says that it was not opened."""
    first, second = sample().write(tmp_path / "a"), tmp_path / "b"
    sample().with_file("./usr/bin/tool", bytes(4 * 1024**2)).write(second)
    limits = ReadLimits(total_bytes=1024**2)
    found = compare_file(first, second, filename="x.deb", rule=DEB, limits=limits)
    assert found.causes == (Cause.PAYLOAD_CHANGED,)
    assert any("unpacks to more than 1048576 bytes" in finding.detail for finding in found.findings)


def _wheel(version: bytes, date: tuple[int, int, int, int, int, int] = (2020, 2, 2, 0, 0, 0), level: int = 6) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("pkg/__init__.py", date)
        archive.writestr(info, b"VERSION = 1\n" * 50 + version, zipfile.ZIP_DEFLATED, level)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("other", "causes"),
    [
        (_wheel(b"2"), (Cause.PAYLOAD_CHANGED,)),
        (_wheel(b"1", (2021, 2, 2, 0, 0, 0)), (Cause.TIMESTAMPS,)),
        (_wheel(b"1", level=0), (Cause.COMPRESSION,)),
    ],
)
def test_wheels_are_named_but_never_equivalent(tmp_path: Path, other: bytes, causes: tuple[Cause, ...]) -> None:
    """Where no rule of its own exists, nothing but equal bytes will do."""
    first, second = tmp_path / "a.whl", tmp_path / "b.whl"
    first.write_bytes(_wheel(b"1"))
    second.write_bytes(other)
    found = compare_file(first, second, filename="a.whl", rule=BYTES)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, causes)


def test_nested_containers_stop_at_a_depth(tmp_path: Path) -> None:
    """Containers within containers are opened down to a bound and compared as bytes below it."""

    def nested(content: bytes) -> bytes:
        for _ in range(12):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as archive:
                archive.writestr(zipfile.ZipInfo("inner.zip"), content)
            content = stream.getvalue()
        return content

    paths = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path, content in zip(paths, (b"one", b"two"), strict=True):
        path.write_bytes(nested(content))
    found = compare_file(*paths, filename="a.zip", rule=BYTES)
    assert "containers within containers" in next(f.detail for f in found.findings if f.cause is Cause.PAYLOAD_CHANGED)


def test_attack_many_containers_in_few_bytes(tmp_path: Path) -> None:
    """Zips of zips of zips: a kilobyte that names a quarter of a million leaves is opened up to a bound."""

    def nested(content: bytes) -> bytes:
        for _ in range(6):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for number in range(8):
                    archive.writestr(zipfile.ZipInfo(f"{number}.zip"), content)
            content = stream.getvalue()
        return content

    paths = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path, content in zip(paths, (b"one", b"two"), strict=True):
        path.write_bytes(nested(content))
    found = compare_file(*paths, filename="a.zip", rule=BYTES)
    assert (found.verdict, found.causes[0]) == (Verdict.DIFFERENT, Cause.PAYLOAD_CHANGED)
    assert len(found.findings) + found.findings_omitted < 8**6 // 10


@pytest.mark.parametrize(
    ("old", "new", "causes"),
    [
        ("built 2024-01-31", "built 2025-02-01", {Cause.BUILD_DATE}),
        ("on Mon Nov  4 12:00:01 UTC 2024", "on Tue Nov  5 13:00:01 CET 2024", {Cause.BUILD_DATE, Cause.TIMEZONE}),
        ("Sat, 04 Nov 2023 12:00:01 +0000", "Sat, 04 Nov 2023 12:00:01 +0200", {Cause.TIMEZONE}),
        ("Copyright (C) 1998-2024 Us", "Copyright (C) 1998-2026 Us", {Cause.BUILD_DATE}),
        ("in /build/sample-1.0/src/a.c", "in /tmp/x/src/a.c", {Cause.BUILD_PATH}),
        ("by root@one", "by user@two", {Cause.HOSTNAME_OR_USER}),
        ('.TH X 1 "2024-01-01" "perl v5.36.0"', '.TH X 1 "2024-01-01" "perl v5.40.1"', {Cause.TOOLCHAIN_VERSION}),
        ("port 2024", "port 2025", None),
        ("if a: allow()", "if b: allow()", None),
        ("built 2024-01-31", "built 2025-02-01 with evil", None),
        ("x" * 5000 + "1", "x" * 5000 + "2", None),
    ],
)
def test_what_explains_a_line(old: str, new: str, causes: set[Cause] | None) -> None:
    """A line is explained when nothing but such a token differs; being similar explains nothing."""
    assert explain_line(old, new) == causes


def test_rules_are_known_by_name() -> None:
    """A verdict's rule is found again; an unknown one is refused."""
    assert rule_by_id(rule_for("deb").id) is DEB
    assert rule_for("pypi") is BYTES
    with pytest.raises(UsageError, match="known are deb/1, bytes/1"):
        rule_by_id("deb/99")
