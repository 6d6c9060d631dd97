"""What a gzip header can carry stays a difference; what gzip writes there by itself is a parameter (RFC 1952)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from rebuilder.model.cause import Cause
from rebuilder.model.verdict import Verdict
from tests.compare.conftest import CompareDebs
from tests.compare.makers import gzip_member, make_tar, sample, with_gzip_data

CHANGELOG = "./usr/share/doc/sample/changelog.Debian.gz"
TEXT = b"sample (1.0-1) unstable; urgency=low\n"

HIDDEN = b"payload for whoever looks here"
HIDING = [
    pytest.param(lambda data: gzip_member(data, flags=4, fields=b"\x1e\0" + HIDDEN), id="extra field"),
    pytest.param(lambda data: gzip_member(data, flags=16, fields=HIDDEN + b"\0"), id="comment"),
    pytest.param(lambda data: gzip_member(data, flags=8, fields=HIDDEN + b"\0"), id="name with spaces"),
    pytest.param(lambda data: gzip_member(data, flags=8, fields=b"x" * 65 + b"\0"), id="long name"),
    pytest.param(lambda data: gzip_member(data, flags=8, fields=b"../../x\0"), id="name with a path"),
    pytest.param(lambda data: gzip_member(data) + gzip_member(b""), id="second member"),
    pytest.param(
        lambda data: gzip_member(data) + gzip_member(b"") * 4 + gzip_member(b"", flags=16, fields=HIDDEN + b"\0"),
        id="comment of a late member",
    ),
]


@pytest.mark.parametrize("hide", HIDING)
def test_attack_bytes_hidden_in_a_gzip_header(against_sample: CompareDebs, hide: Callable[[bytes], bytes]) -> None:
    """Extra fields, comments, names that are none and further members of data.tar.gz stay: they can carry anything."""
    base = replace(sample(), compression="gzip")
    for reference in (base, sample()):
        found = against_sample(with_gzip_data(base, hide(make_tar(base.data))), reference=reference)
        assert found.verdict is Verdict.DIFFERENT
        assert Cause.ARCHIVE_METADATA in found.causes


@pytest.mark.parametrize("hide", HIDING)
def test_attack_bytes_hidden_in_documentation(against_sample: CompareDebs, hide: Callable[[bytes], bytes]) -> None:
    """The same in a packed changelog, with the right md5sums."""
    found = against_sample(sample().with_file(CHANGELOG, hide(TEXT)))
    assert found.verdict is Verdict.DIFFERENT
    assert Cause.ARCHIVE_METADATA in found.causes


def test_attack_other_bytes_in_place_of_a_header_checksum(against_sample: CompareDebs) -> None:
    """The two bytes of FHCRC are checked (RFC 1952, 2.3.1): right ones are parameters, others are not to be opened."""
    base = replace(sample(), compression="gzip")
    tar = make_tar(base.data)
    right = (zlib.crc32(gzip_member(tar, flags=2)[:10]) & 0xFFFF).to_bytes(2, "little")
    for fields, verdict in ((right, Verdict.EQUIVALENT), (b"no", Verdict.DIFFERENT)):
        found = against_sample(with_gzip_data(base, gzip_member(tar, flags=2, fields=fields)), reference=base)
        assert found.verdict is verdict


def test_what_gzip_writes_by_itself_is_a_parameter(against_sample: CompareDebs) -> None:
    """Date, level, system and the plain name of the packed file."""
    base = replace(sample(), compression="gzip")
    packed = gzip_member(make_tar(base.data), flags=8, fields=b"data.tar\0", date=7, level=1)
    found = against_sample(with_gzip_data(base, packed), reference=base)
    assert found.verdict is Verdict.EQUIVALENT
    assert [stabilizer.name for stabilizer in found.stabilizers] == ["compression-parameters"]
