"""Each stabilizer: what it removes, and what it must leave."""

from __future__ import annotations

import gzip
import struct
import tarfile
from dataclasses import replace

import pytest

from rebuilder.compare.rule import BYTES
from rebuilder.model.cause import Cause
from rebuilder.model.verdict import Verdict
from tests.compare.conftest import CompareDebs
from tests.compare.makers import (
    ELF,
    Deb,
    Entry,
    elf_section,
    flipped,
    gzip_member,
    make_ar,
    make_tar,
    sample,
    with_gzip_data,
    with_other_build_id,
)

PROGRAM = "./usr/bin/sample"
CHANGELOG = "./usr/share/doc/sample/changelog.Debian.gz"
TEXT = b"sample (1.0-1) unstable; urgency=low\n"


@pytest.mark.parametrize(
    ("other", "name", "causes"),
    [
        (sample().with_file(PROGRAM, with_other_build_id(ELF.read_bytes())), "elf-build-id", (Cause.BUILD_ID,)),
        (sample().with_entry(PROGRAM, mtime=5), "tar-mtimes", (Cause.TIMESTAMPS,)),
        (replace(sample(), ar_mtime=5), "deb-member-mtimes", (Cause.TIMESTAMPS,)),
        (replace(sample(), preset=1), "compression-parameters", (Cause.COMPRESSION,)),
        (
            replace(sample(), compression="zstd"),
            "compression-parameters",
            (Cause.COMPRESSION,),
        ),
        (
            sample().with_file(CHANGELOG, gzip.compress(TEXT, 1, mtime=9)),
            "gzip-documentation",
            (Cause.TIMESTAMPS, Cause.COMPRESSION),
        ),
    ],
)
def test_what_a_stabilizer_removes(
    against_sample: CompareDebs, other: Deb, name: str, causes: tuple[Cause, ...]
) -> None:
    """A package that differs in this one way only is equivalent, under this one stabilizer, and says why."""
    found = against_sample(other)
    assert found.verdict is Verdict.EQUIVALENT
    assert [stabilizer.name for stabilizer in found.stabilizers] == [name]
    assert found.causes == causes
    assert found.findings
    assert all(finding.removed_by for finding in found.findings)
    assert against_sample(other, rule=BYTES).verdict is Verdict.DIFFERENT


def test_order_of_members(against_sample: CompareDebs) -> None:
    """Members in another order are equivalent, unless unpacking could then give something else."""
    base = replace(sample(), stale_md5sums=b"")
    found = against_sample(replace(base, data=base.data[:3] + base.data[:2:-1]), reference=base)
    assert (found.verdict, found.causes) == (Verdict.EQUIVALENT, (Cause.FILE_ORDER,))
    for extra in (
        Entry(name="./usr/bin/hard", type=tarfile.LNKTYPE, link="./usr/bin/sample"),
        Entry(name="./usr/bin/tool", content=b"#!/bin/sh\necho two\n"),
        Entry(name="./usr/bin/alias/below", content=b"through the link"),
    ):
        risky = replace(base, data=(*base.data, extra))
        found = against_sample(replace(risky, data=risky.data[:3] + risky.data[:2:-1]), reference=risky)
        assert found.verdict is Verdict.DIFFERENT, extra.name


@pytest.mark.parametrize(
    ("good", "evil"),
    [
        ("./usr/bin/x", "/usr/bin/x"),
        ("./usr/bin/x", "//usr/bin/x"),
        ("./usr/bin/x", "///usr/bin/x"),
        ("./usr/bin/x", "usr/bin/x"),
        ("./usr/bin/x", "./usr/bin/./x"),
        ("./usr/bin/x", "./usr//bin/x"),
        ("./usr/bin/x", "./usr/lib/../bin/x"),
        ("./usr/bin/x", "./bin/x"),
        ("./usr/bin/x", "/bin/x"),
        ("./usr/sbin/x", "./sbin/x"),
        ("./usr/lib/x", "./lib/x"),
        ("./usr/lib32/x", "./lib32/x"),
        ("./usr/lib64/x", "./lib64/x"),
        ("./usr/libx32/x", "./libx32/x"),
        ("./run/x", "./var/run/x"),
        ("./run/lock/x", "./var/lock/x"),
        ("./usr/lib/a/x", ".//lib/./a/x"),
    ],
)
def test_attack_one_place_under_two_names(against_sample: CompareDebs, good: str, evil: str) -> None:
    """Two members that land at one place: the last one wins, so their order is what gets installed."""
    pair = Entry(name=good, content=b"good", mode=0o755), Entry(name=evil, content=b"evil", mode=0o755)
    base = replace(sample(), data=(*sample().data, *pair), stale_md5sums=b"")
    found = against_sample(replace(base, data=(*sample().data, *reversed(pair))), reference=base)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.FILE_ORDER,))
    assert not found.stabilizers
    assert "may give another result" in found.findings[0].detail


@pytest.mark.parametrize(
    ("link", "below"),
    [
        (Entry(name="/usr/lib/d", type=tarfile.SYMTYPE, link="/etc"), Entry(name="./lib/d/x", content=b"x")),
        (Entry(name="./lib/d", type=tarfile.SYMTYPE, link="/etc"), Entry(name="./usr/lib/d/e/x", content=b"x")),
        (Entry(name="./lib", type=tarfile.SYMTYPE, link="etc"), Entry(name="/lib/x", content=b"x")),
        (Entry(name="./lib/d", type=tarfile.DIRTYPE, mode=0o777), Entry(name="./usr/lib/d", type=tarfile.DIRTYPE)),
        (Entry(name="./lib/d", type=tarfile.SYMTYPE, link="/etc"), Entry(name="./usr/lib/d/", type=tarfile.DIRTYPE)),
        (Entry(name="./opt/f", content=b"x"), Entry(name="./opt/f/x", content=b"x")),
    ],
)
def test_attack_below_a_link_under_another_name(against_sample: CompareDebs, link: Entry, below: Entry) -> None:
    """A link, and a member that lands below it by another spelling: order says where the member goes."""
    base = replace(sample(), data=(*sample().data, link, below), stale_md5sums=b"")
    found = against_sample(replace(base, data=(*sample().data, below, link)), reference=base)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.FILE_ORDER,))


def test_order_of_directories_on_both_sides_of_merged_usr(against_sample: CompareDebs) -> None:
    """A package with ./lib/ and ./usr/lib/, equal but for dates, and the links of base-files, may change order."""
    extra = (
        Entry(name="./lib/", type=tarfile.DIRTYPE, mode=0o755),
        Entry(name="./usr/lib/", type=tarfile.DIRTYPE, mode=0o755),
        Entry(name="./lib/one", content=b"1"),
        Entry(name="./usr/lib/two", content=b"2"),
        Entry(name="./bin", type=tarfile.SYMTYPE, link="usr/bin", mode=0o777),
    )
    base = replace(sample(), data=(*sample().data, *extra), stale_md5sums=b"")
    found = against_sample(replace(base, data=(*sample().data, *reversed(extra))), reference=base)
    assert (found.verdict, found.causes) == (Verdict.EQUIVALENT, (Cause.FILE_ORDER,))


def _with_text_flipped(data: bytes) -> bytes:
    return flipped(data, elf_section(data, ".text")[0])


def _outside_sections(data: bytes) -> bytes:
    """Change a byte in the gap between a section and the next one."""
    for name in (".dynamic", ".data", ".eh_frame", ".fini"):
        offset, size = elf_section(data, name)
        if data[offset + size : offset + size + 1] == b"\0":
            return flipped(data, offset + size)
    raise AssertionError("no gap in this ELF file")


def _in_section_table(data: bytes) -> bytes:
    return flipped(data, struct.unpack_from("<Q", data, 0x28)[0] + 64 + 8)


def _in_note_header(data: bytes) -> bytes:
    return flipped(data, elf_section(data, ".note.gnu.build-id")[0] + 8)


def _in_debuglink_padding(data: bytes) -> bytes:
    offset, size = elf_section(data, ".gnu_debuglink")
    return flipped(data, offset + size - 5)


def _with_other_checksum(data: bytes) -> bytes:
    """Change nothing but the CRC of the debuglink."""
    offset, size = elf_section(data, ".gnu_debuglink")
    return flipped(data, offset + size - 1)


def _with_foreign_debuglink(data: bytes) -> bytes:
    """Make a debuglink to a file that is not the one of this build-id."""
    return flipped(with_other_build_id(data), elf_section(data, ".gnu_debuglink")[0])


def _with_program_headers_outside(data: bytes) -> bytes:
    return data[:0x23] + b"\x01" + data[0x24:]


def _appended(data: bytes) -> bytes:
    return data + b"\0"


@pytest.mark.parametrize(
    "change",
    [
        _with_text_flipped,
        _outside_sections,
        _in_section_table,
        _in_note_header,
        _in_debuglink_padding,
        _with_foreign_debuglink,
        _with_program_headers_outside,
        _appended,
    ],
)
@pytest.mark.parametrize("also_build_id", [False, True])
def test_elf_build_id_leaves_every_other_byte(
    against_sample: CompareDebs,
    change: type[bytes],
    also_build_id: bool,  # noqa: FBT001
) -> None:
    """One byte anywhere else in the file, alone or behind a build-id change, is a difference that stays."""
    data = change(ELF.read_bytes())
    found = against_sample(sample().with_file(PROGRAM, with_other_build_id(data) if also_build_id else data))
    assert found.verdict is Verdict.DIFFERENT
    assert not found.stabilizers


def test_checksum_of_the_debug_file_alone(against_sample: CompareDebs) -> None:
    """A debuglink in which only the CRC differs is removed as well, as docs/COMPARISON.md says."""
    found = against_sample(sample().with_file(PROGRAM, _with_other_checksum(ELF.read_bytes())))
    assert (found.verdict, found.causes) == (Verdict.EQUIVALENT, (Cause.BUILD_ID,))


def test_elf_build_id_leaves_code_that_calls_itself_a_note(against_sample: CompareDebs) -> None:
    """A section of that name which is executable is not a note."""
    data = bytearray(ELF.read_bytes())
    table, size, count = struct.unpack_from("<Q10xHH", data, 0x28)
    for index in range(count):
        row = table + size * index
        if struct.unpack_from("<Q", data, row + 24)[0] == elf_section(bytes(data), ".note.gnu.build-id")[0]:
            struct.pack_into("<Q", data, row + 8, 0x6)
    reference = sample().with_file(PROGRAM, bytes(data))
    found = against_sample(sample().with_file(PROGRAM, with_other_build_id(bytes(data))), reference=reference)
    assert found.verdict is Verdict.DIFFERENT


def test_one_changed_elf_byte_with_stale_md5sums(against_sample: CompareDebs) -> None:
    """md5sums is not believed: the changed byte is payload, and the stale line is named as well."""
    other = replace(sample().with_file(PROGRAM, _with_text_flipped(ELF.read_bytes())), stale_md5sums=sample().md5sums)
    found = against_sample(other)
    assert found.verdict is Verdict.DIFFERENT
    assert found.causes == (Cause.PAYLOAD_CHANGED, Cause.ARCHIVE_METADATA)
    assert found.findings[0].path == "data.tar.xz/./usr/bin/sample/.text"
    assert "does not describe the file" in found.findings[1].detail


def test_one_changed_elf_byte_with_right_md5sums(against_sample: CompareDebs) -> None:
    """Recomputed sums make it no better."""
    found = against_sample(sample().with_file(PROGRAM, _with_text_flipped(ELF.read_bytes())))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.PAYLOAD_CHANGED,))


def test_md5sums_that_does_not_follow_a_build_id(against_sample: CompareDebs) -> None:
    """A build-id change is equivalent only with an md5sums that describes both files."""
    other = sample().with_file(PROGRAM, with_other_build_id(ELF.read_bytes()))
    found = against_sample(replace(other, stale_md5sums=sample().md5sums))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.BUILD_ID, Cause.ARCHIVE_METADATA))
    wrong = other.md5sums.replace(b"usr/bin/tool", b"usr/bin/tolo")
    assert against_sample(replace(other, stale_md5sums=wrong)).verdict is Verdict.DIFFERENT
    swapped = sample().md5sums[:-1] + b"x\n"
    assert against_sample(replace(sample(), stale_md5sums=swapped)).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"mode": 0o4755}, Cause.SETUID_CHANGED),
        ({"mode": 0o2755}, Cause.SETUID_CHANGED),
        ({"mode": 0o777}, Cause.FILE_MODES),
        ({"uid": 1000}, Cause.FILE_MODES),
        ({"user": "builder"}, Cause.FILE_MODES),
        ({"type": tarfile.SYMTYPE, "link": "/tmp/x", "content": b""}, Cause.PAYLOAD_CHANGED),
        ({"name": "./usr/bin/other"}, Cause.PAYLOAD_CHANGED),
    ],
)
def test_nothing_hides_what_gets_installed(
    against_sample: CompareDebs, changes: dict[str, object], cause: Cause
) -> None:
    """Modes, owners, types and presence are never stabilized, even beside differences that are."""
    other = replace(sample(), ar_mtime=5, preset=1).with_entry("./usr/bin/tool", **changes, mtime=5)
    found = against_sample(replace(other, stale_md5sums=sample().md5sums))
    assert found.verdict is Verdict.DIFFERENT
    assert cause in found.causes
    assert found.findings[0].removed_by is None


def test_a_maintainer_script_may_be_a_program(against_sample: CompareDebs) -> None:
    """A compiled postinst with another build-id is a changed script, not a drifted build-id."""

    def deb(program: bytes) -> Deb:
        return replace(sample(), scripts=(Entry(name="./postinst", content=program, mode=0o755),))

    program = ELF.read_bytes()
    found = against_sample(deb(with_other_build_id(program)), reference=deb(program))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.MAINTAINER_SCRIPT_CHANGED,))
    packed = [gzip.compress(b"#!/bin/sh\n", mtime=time) for time in (1, 2)]
    found = against_sample(deb(packed[1]), reference=deb(packed[0]))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.MAINTAINER_SCRIPT_CHANGED,))


def test_hard_links_to_a_drifted_program(against_sample: CompareDebs) -> None:
    """md5sums has a line for each name of a file; all of them follow the one build-id."""
    link = Entry(name="./usr/bin/z", type=tarfile.LNKTYPE, link=PROGRAM, mode=0o755)

    def deb(program: bytes) -> Deb:
        made = replace(sample(), data=(*sample().data, link)).with_file(PROGRAM, program)
        line = next(line for line in made.md5sums.splitlines() if line.endswith(b"usr/bin/sample"))
        return replace(made, stale_md5sums=made.md5sums + line.replace(b"usr/bin/sample", b"usr/bin/z") + b"\n")

    program = ELF.read_bytes()
    found = against_sample(deb(with_other_build_id(program)), reference=deb(program))
    assert (found.verdict, found.causes) == (Verdict.EQUIVALENT, (Cause.BUILD_ID,))
    assert len(found.findings) == 4


def test_capabilities_are_never_hidden(against_sample: CompareDebs) -> None:
    """A file capability in a pax record counts like a setuid bit."""
    other = sample()
    entries = tuple(
        replace(e, pax={"SCHILY.xattr.security.capability": "x"} if e.name == PROGRAM else {}) for e in other.data
    )
    data = make_tar(entries, format=tarfile.PAX_FORMAT)
    control = make_tar((Entry(name="./control", content=other.control.encode()),))
    plain = make_tar(other.data, format=tarfile.PAX_FORMAT)
    debs = [
        make_ar((("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", tar))) for tar in (plain, data)
    ]

    class Raw(Deb):
        def build(self) -> bytes:
            return debs[0]

    found = against_sample(debs[1], reference=Raw(data=()))
    assert (found.verdict, found.causes[0]) == (Verdict.DIFFERENT, Cause.SETUID_CHANGED)


def test_bytes_hidden_behind_a_stream_stay(against_sample: CompareDebs) -> None:
    """What decoders ignore behind data.tar.gz is not compression."""
    base = replace(sample(), compression="gzip")
    other = with_gzip_data(base, gzip.compress(make_tar(base.data), base.preset, mtime=0) + b"hidden")
    found = against_sample(other, reference=base)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.ARCHIVE_METADATA,))


def test_gzip_of_a_program_is_not_documentation(against_sample: CompareDebs) -> None:
    """A gzip file elsewhere keeps its difference."""
    entry = Entry(name="./usr/lib/sample/table.gz", content=gzip.compress(TEXT, 9, mtime=0))
    base = replace(sample(), data=(*sample().data, entry))
    found = against_sample(base.with_file(entry.name, gzip.compress(TEXT, 9, mtime=7)), reference=base)
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.TIMESTAMPS,))


def test_changed_documentation_is_not_hidden(against_sample: CompareDebs) -> None:
    """The content of a changelog is compared, however it was packed."""
    found = against_sample(sample().with_file(CHANGELOG, gzip.compress(TEXT.replace(b"low", b"high"), 1, mtime=9)))
    assert found.verdict is Verdict.DIFFERENT
    assert Cause.DOCUMENTATION in found.causes


def test_md5sums_follows_a_repacked_changelog(against_sample: CompareDebs) -> None:
    """The line of a changelog that was packed otherwise goes with it when both sums are right, and stays when stale."""
    other = sample().with_file(CHANGELOG, gzip_member(TEXT, date=7, level=1))
    found = against_sample(other)
    assert found.verdict is Verdict.EQUIVALENT
    line = next(finding for finding in found.findings if "/./md5sums/" in finding.path)
    assert line.removed_by is not None
    assert line.removed_by.name == "gzip-documentation"
    found = against_sample(replace(other, stale_md5sums=sample().md5sums))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.TIMESTAMPS, Cause.ARCHIVE_METADATA))


def test_part_named_for_another_compression(against_sample: CompareDebs) -> None:
    """A data.tar.gz that holds an xz stream is not an honest change of compression."""
    found = against_sample(sample().build().replace(b"data.tar.xz ", b"data.tar.gz "))
    assert (found.verdict, found.causes) == (Verdict.DIFFERENT, (Cause.ARCHIVE_METADATA,))
