"""Containers that no honest producer makes: refused, or reported as data, and never acted upon."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rebuilder.compare.readers.archive import ArchiveKind, Attribute, shown
from rebuilder.compare.readers.deb import read_deb_member
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.errors import HostileInput, RebuilderError
from tests.compare.makers import Entry, compress, make_ar, make_tar, sample
from tests.compare.readers.conftest import Read, read_bytes

SMALL = ReadLimits(total_bytes=1024**2, ratio=100, ratio_free_bytes=64 * 1024, members=50, name_bytes=300)


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "bzip2"])
def test_bomb_by_size(read: Read, compression: str) -> None:
    """A stream that unpacks to more than the budget is refused while it unpacks."""
    bomb = compress(bytes(2 * 1024**2), compression)
    with pytest.raises(HostileInput, match="unpacks to more than"):
        read(bomb, limits=SMALL)


def test_bomb_by_ratio(read: Read) -> None:
    """Within the budget, a stream that unpacks to a thousand times its size is refused all the same."""
    with pytest.raises(HostileInput, match="100 times its size"):
        read(lzma.compress(bytes(1024**2 - 100)), limits=SMALL)


def test_bomb_by_decoder_memory(read: Read) -> None:
    """A stream that asks its decoder for more memory than allowed is refused."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * 1024**2}]
    with pytest.raises(HostileInput, match="not a sound xz stream"):
        read(lzma.compress(b"small", filters=filters))


def test_too_many_members(read: Read) -> None:
    """Members are counted."""
    entries = tuple(Entry(name=f"./{number}") for number in range(51))
    with pytest.raises(HostileInput, match="more than 50 members"):
        read(make_tar(entries), limits=SMALL)


def test_name_too_long(read: Read) -> None:
    """Names are bounded."""
    with pytest.raises(HostileInput, match="longer than 300 bytes"):
        read(make_tar((Entry(name="n" * 301),)), limits=SMALL)


def test_climbing_and_absolute_names_are_data(read: Read, tmp_path: Path) -> None:
    """A member that would leave the directory is listed; nothing is written anywhere."""
    before = sorted(tmp_path.parent.rglob("*"))
    archive, contents = read(make_tar((Entry(name="../../evil", content=b"e"), Entry(name="/etc/evil", content=b"e"))))
    assert [member.name for member in archive.members] == ["../../evil", "/etc/evil"]
    assert set(contents) == {"../../evil", "/etc/evil"}
    assert {path.name for path in set(tmp_path.parent.rglob("*")) - set(before)} <= {"container"}


def test_duplicate_members_are_data(read: Read) -> None:
    """Both members of one name are listed, in order."""
    archive, _ = read(make_tar((Entry(name="./a", content=b"1"), Entry(name="./a", content=b"2"))))
    assert [member.name for member in archive.members] == ["./a", "./a"]


def test_names_cannot_write_to_the_terminal() -> None:
    """Control characters, line ends and bytes that are no UTF-8 are escaped, and length is bounded."""
    assert shown("a\x1b[31m\n\udcff\u202e") == "a\\x1b[31m\\x0a\\xff\\u202e"
    assert len(shown("x" * 10_000)) == 400


def test_bytes_hidden_in_tar_padding_show(read: Read) -> None:
    """What stands between a member and the next header, or behind the end, is part of what is compared."""
    plain = make_tar((Entry(name="./a", content=b"1"),))
    padded = plain[:600] + b"hidden" + plain[606:]
    assert read(padded)[0].members[0].attribute(Attribute.ENCODING) != read(plain)[0].members[0].attribute(
        Attribute.ENCODING
    )
    assert "behind the end" in read(plain[:-6] + b"hidden")[0].attributes[0][1]


def test_tar_with_damaged_header_is_refused(read: Read) -> None:
    """A damaged header is not taken for the end, as the standard library does."""
    data = bytearray(make_tar((Entry(name="./a"), Entry(name="./b"))))
    data[512 + 3] ^= 1
    with pytest.raises(HostileInput, match="checksum is wrong"):
        read(bytes(data))


def test_truncated_tar_is_refused(read: Read) -> None:
    """A member that is longer than the file is refused."""
    with pytest.raises(HostileInput, match="ends early"):
        read(make_tar((Entry(name="./a", content=b"x" * 5000),))[:2000])


def test_bytes_behind_a_gzip_stream_show(read: Read) -> None:
    """Decoders ignore what follows a gzip stream; the comparison does not."""
    archive, _ = read(gzip.compress(b"data", mtime=0) + b"hidden")
    assert any(key == Attribute.EXTRA and "6 bytes" in value for key, value in archive.attributes)


def test_skippable_zstd_frames_show(read: Read) -> None:
    """Decoders skip such frames silently; the comparison does not."""
    frame = b"\x50\x2a\x4d\x18" + (6).to_bytes(4, "little") + b"hidden"
    archive, _ = read(compress(b"data", "zstd") + frame)
    assert any(key == Attribute.EXTRA and "skippable" in value for key, value in archive.attributes)


def _zip(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def test_zip_gap_shows(read: Read) -> None:
    """Bytes before the first member belong to nobody and are reported."""
    data = bytearray(b"hidden" + _zip(a=b"1"))
    start = data.index(b"PK\x01\x02")
    data[start + 42 : start + 46] = (6).to_bytes(4, "little")
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = start.to_bytes(4, "little")
    archive, _ = read(bytes(data), ArchiveKind.ZIP)
    assert "6 bytes that belong to no member" in archive.attributes[0][1]


def test_zip_with_two_faces_is_refused(read: Read) -> None:
    """A local header that names another file than the directory is refused."""
    data = bytearray(_zip(aaaa=b"1"))
    data[30] = ord("b")
    with pytest.raises(HostileInput, match="contradicts the directory"):
        read(bytes(data))


def test_zip_with_wrong_crc_is_refused(read: Read) -> None:
    """Content that is not what the directory says is refused when it is unpacked."""
    data = bytearray(_zip(a=b"1"))
    for magic, at in ((b"PK\x01\x02", 16), (b"PK\x03\x04", 14)):
        data[data.index(magic) + at] ^= 1
    with pytest.raises(HostileInput, match="size or CRC"):
        read(bytes(data))


def test_ar_without_members_is_refused(read: Read) -> None:
    """Empty is refused."""
    with pytest.raises(HostileInput, match="without members"):
        read(b"!<arch>\n")


def test_member_of_deb_must_be_unique(tmp_path: Path) -> None:
    """One file is asked for: none and several are refused, one comes back unpacked."""
    path = sample().write(tmp_path / "s.deb")
    assert read_deb_member(path, "/changelog.Debian.gz")[1].startswith(b"sample (1.0-1)")
    for suffix, count in (("/nothing", 0), ("", 4)):
        with pytest.raises(HostileInput, match=f"{count} files end with"):
            read_deb_member(path, suffix)
    with pytest.raises(HostileInput, match="at most 3 are read"):
        read_deb_member(path, "/README", limit_bytes=3)


def _samples() -> list[tuple[bytes, ArchiveKind]]:
    tar = make_tar(
        (Entry(name="./" + "l" * 150, content=b"x" * 600), Entry(name="./s", type=tarfile.SYMTYPE, link="x"))
    )
    pax = make_tar((Entry(name="./p", content=b"1", pax={"k": "v"}),), format=tarfile.PAX_FORMAT)
    return [
        (tar, ArchiveKind.TAR),
        (pax, ArchiveKind.TAR),
        (make_ar((("//", b"long_name_of_a_member.o/\n"), ("/0", b"gnu"), ("#1/4", b"nameabc"))), ArchiveKind.AR),
        (_zip(a=b"1" * 100, b=b"2"), ArchiveKind.ZIP),
        (gzip.compress(b"data" * 100, mtime=0) * 2, ArchiveKind.GZIP),
        (lzma.compress(b"data" * 100), ArchiveKind.XZ),
        (lzma.compress(b"data" * 100, format=lzma.FORMAT_ALONE), ArchiveKind.LZMA),
        (compress(b"data" * 100, "zstd"), ArchiveKind.ZSTD),
        (compress(b"data" * 100, "bzip2"), ArchiveKind.BZIP2),
        (sample().build(), ArchiveKind.DEB),
    ]


SAMPLES = _samples()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, len(SAMPLES) - 1),
    edits=st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=6),
    cut=st.integers(0, 2**16) | st.none(),
)
@example(which=0, edits=[(124, b"\xff" * 8, 8)], cut=None)
def test_any_bytes_give_an_archive_or_our_error(
    tmp_path: Path, which: int, edits: list[tuple[int, bytes, int]], cut: int | None
) -> None:
    """Real containers, mutilated at random: never a foreign exception."""
    data, kind = SAMPLES[which]
    for position, inserted, removed in edits:
        at = position % (len(data) + 1)
        data = data[:at] + inserted + data[at + removed :]
    try:
        read_bytes(tmp_path / "fuzz", data[:cut] or b"\0", kind, SMALL)
    except RebuilderError as error:
        assert isinstance(error, HostileInput)  # noqa: PT017 - both ends are right


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=2048), kind=st.sampled_from(ArchiveKind))
def test_any_noise_gives_an_archive_or_our_error(tmp_path: Path, data: bytes, kind: ArchiveKind) -> None:
    """Noise read as every kind: never a foreign exception."""
    try:
        read_bytes(tmp_path / "fuzz", data, kind, SMALL)
    except RebuilderError as error:
        assert isinstance(error, HostileInput)  # noqa: PT017 - both ends are right
