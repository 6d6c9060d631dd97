"""Readers agree with the standard writers on honest containers."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile
import zipfile

import pytest

from rebuilder.compare.readers.archive import ArchiveKind, Attribute, MemberType
from rebuilder.errors import HostileInput
from rebuilder.world.process import check, run
from tests.compare.makers import EPOCH, Entry, compress, make_ar, make_tar, sample
from tests.compare.readers.conftest import Read

LONG = "./" + "directory/" * 20 + "file"


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_members_come_back_as_written(read: Read, format_: int) -> None:
    """Names, types, modes, owners, dates, links and content are what the standard library wrote."""
    entries = (
        Entry(name="./", type=tarfile.DIRTYPE, mode=0o755),
        Entry(name=LONG if format_ != tarfile.USTAR_FORMAT else "./a/" + "b" * 90 + "/c", content=b"x" * 700),
        Entry(name="./su", content=b"s", mode=0o4755, uid=7, user="who"),
        Entry(name="./link", type=tarfile.SYMTYPE, link="/etc/passwd"),
        Entry(name="./hard", type=tarfile.LNKTYPE, link="./su"),
        Entry(name="./dev", type=tarfile.CHRTYPE),
        Entry(name="./pipe", type=tarfile.FIFOTYPE),
    )
    archive, contents = read(make_tar(entries, format=format_))
    assert [member.name for member in archive.members] == [entry.name for entry in entries]
    su = archive.members[2]
    assert su.attribute(Attribute.MODE) == "4755"
    assert su.attribute(Attribute.OWNER) == "7/who"
    assert su.attribute(Attribute.MTIME) == str(EPOCH)
    assert archive.members[3].attribute(Attribute.LINK) == "/etc/passwd"
    assert [member.type for member in archive.members[3:]] == [
        MemberType.SYMLINK,
        MemberType.HARDLINK,
        MemberType.CHARACTER_DEVICE,
        MemberType.FIFO,
    ]
    assert contents[entries[1].name] == b"x" * 700


def test_tar_pax_records_are_attributes(read: Read) -> None:
    """A file capability in a pax record is data that the comparison sees."""
    entry = Entry(name="./ping", content=b"p", pax={"SCHILY.xattr.security.capability": "cap", "mtime": "1.5"})
    archive, _ = read(make_tar((entry,), format=tarfile.PAX_FORMAT))
    assert archive.members[0].attribute("pax:SCHILY.xattr.security.capability") == "cap"
    assert archive.members[0].attribute(Attribute.MTIME) == "1.5"


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "bzip2"])
def test_streams_unpack_and_name_their_parameters(read: Read, compression: str) -> None:
    """Each stream gives its content, and how it was packed differs between levels."""
    data = bytes(range(256)) * 5000
    weak, contents = read(compress(data, compression, 1))
    assert contents == {"content": data}
    strong, _ = read(compress(data, compression, 9))
    assert weak.attributes
    assert compression == "zstd" or weak.attributes != strong.attributes


def test_how_a_threaded_xz_packed_does_not_depend_on_what_it_packed(read: Read) -> None:
    """Its block headers hold sizes and their checksum (as dpkg-deb's do), which are no parameters of the encoder."""
    packed = [
        subprocess.run(["xz", "-T2", "-c"], input=data, capture_output=True, check=True).stdout
        for data in (b"one" * 400, b"another" * 5000)
    ]
    assert packed[0][13] == 0xC0
    first, second = (read(each)[0].attributes for each in packed)
    assert first == second


@pytest.mark.parametrize("place", [13, 14, 15, 17, 18, 19])
def test_attack_a_block_header_that_lies_about_its_shape(read: Read, place: int) -> None:
    """A damaged header is refused by name, never read beyond its end."""
    packed = bytearray(subprocess.run(["xz", "-T2", "-c"], input=b"one" * 400, capture_output=True, check=True).stdout)
    packed[place] = 0xFF
    with pytest.raises(HostileInput, match="not a sound xz stream"):
        read(bytes(packed))


def test_sizes_in_an_xz_block_header_are_no_parameter(read: Read) -> None:
    """A header that several threads wrote records sizes; they differ with the content and say nothing about packing."""
    found = []
    for content in (b"a" * 100_000, bytes(range(256)) * 900):
        packed = check(run(["xz", "-T2", "--block-size=50000", "-c"], timeout_s=30, stdin=content), "xz")
        archive, contents = read(packed)
        assert contents == {"content": content}
        found.append(archive.attributes)
    assert found[0] == found[1]
    assert "block flags 0xc0" in found[0][0][1]


def test_concatenated_streams_are_one_content(read: Read) -> None:
    """Two streams in one file unpack to both contents, as the usual tools do."""
    for compression in ("gzip", "xz", "bzip2", "zstd"):
        _, contents = read(compress(b"one", compression) + compress(b"two", compression))
        assert contents == {"content": b"onetwo"}, compression


def test_deb_is_recognised(read: Read) -> None:
    """A .deb is an ar archive whose first member is debian-binary."""
    archive, contents = read(sample().build())
    assert archive.kind is ArchiveKind.DEB
    assert contents["debian-binary"] == b"2.0\n"


def test_ar_long_names(read: Read) -> None:
    """GNU and BSD long names are resolved."""
    gnu = make_ar((("//", b"a_rather_long_name.o/\n"), ("/0", b"gnu")))
    assert read(gnu)[1]["a_rather_long_name.o"] == b"gnu"
    bsd = make_ar((("#1/20", b"a_rather_long_name.o" + b"bsd"),))
    assert read(bsd)[1]["a_rather_long_name.o"] == b"bsd"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_members_come_back_as_written(read: Read, method: int) -> None:
    """Names, dates, modes and content are what the standard library wrote, also when it wrote to a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for stream in (io.BytesIO(), Pipe()):
        with zipfile.ZipFile(stream, "w", method) as archive:
            info = zipfile.ZipInfo("pkg/a.py", (2020, 2, 2, 0, 0, 0))
            info.external_attr = (stat.S_IFREG | 0o755) << 16
            info.compress_type = method
            archive.writestr(info, b"code\n" * 1000)
            archive.mkdir("empty")
        found, contents = read(stream.getvalue(), ArchiveKind.ZIP)
        assert contents == {"pkg/a.py": b"code\n" * 1000}
        assert found.members[0].attribute(Attribute.MODE) == "0755"
        assert found.members[0].attribute(Attribute.MTIME) == "2020-02-02 00:00:00"
        assert found.members[1].type is MemberType.DIRECTORY
