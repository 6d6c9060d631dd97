"""What is taken from debrebuild's own source, and what it is given."""

from __future__ import annotations

import pytest

from bench.debrebuild import digestible, repaired, services
from bench.place import LeftOut


def test_services_are_those_that_the_tools_name() -> None:
    """Addresses of requests count, links in comments do not."""
    sources = (
        'url = "http://snapshot.test/" + self.path  # see https://bugs.test/645895',
        'requests.post(\n  "http://index.test/cgi-bin/api")',
        "'BASE' => 'https://snapshot.test', # http://{host}/archive/",
        '"http://snapshot.test/archive/debian"',
    )
    assert services(sources) == ("index.test", "snapshot.test")


def test_a_source_without_services_is_left_out() -> None:
    """Nothing is guessed when the tools have changed."""
    with pytest.raises(LeftOut, match="name no service"):
        services(["print('nothing to ask')"])


def test_a_buildinfo_is_written_so_that_debrebuild_can_use_it() -> None:
    """The source's version is repeated, a value with a space is avoided, other fields are left alone."""
    text = 'Source: thing\nEnvironment:\n DEB_BUILD_OPTIONS="parallel=2 nocheck"\n LC_ALL="C.UTF-8"\n'
    wanted = 'Source: thing (1:1-2)\nEnvironment:\n DEB_BUILD_OPTIONS="nocheck"\n LC_ALL="C.UTF-8"\n'
    assert digestible(text, "1:1-2") == wanted
    assert digestible(wanted, "2") == wanted


DEBOOTSNAP = """\
    c.setopt(c.MAX_RECV_SPEED_LARGE, 1000)  # bytes
    cmd = [
        "mmdebstrap",
        "--include=x",
    ]
"""


def test_debootsnap_makes_a_tar_archive_and_keeps_its_limit() -> None:
    """Only the format is added."""
    assert repaired(DEBOOTSNAP, is_limited=True) == DEBOOTSNAP.replace('"mmdebstrap",', '"mmdebstrap", "--format=tar",')


def test_the_limit_on_speed_is_taken_out_and_nothing_else() -> None:
    """The line that limits goes."""
    as_it_is = repaired(DEBOOTSNAP, is_limited=True)
    assert repaired(DEBOOTSNAP, is_limited=False) == "".join(as_it_is.splitlines(keepends=True)[1:])


@pytest.mark.parametrize("text", ["", DEBOOTSNAP.replace("MAX_RECV", ""), DEBOOTSNAP.replace("cmd", "arguments")])
def test_another_debootsnap_is_left_out(text: str) -> None:
    """What cannot be repaired is not measured."""
    with pytest.raises(LeftOut, match="none that this benchmark knows"):
        repaired(text, is_limited=False)
