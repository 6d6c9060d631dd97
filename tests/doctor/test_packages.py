"""One list of packages serves `make` and the doctor."""

from __future__ import annotations

import pytest

from rebuilder.doctor.finding import Condition
from rebuilder.doctor.packages import Need, Package, examine_packages, load_packages


def package(need: Need, program: str) -> Package:
    """Make a package that a program shows to be there."""
    return Package(name="thing", need=need, reason="for things", program=program)


def test_the_list_is_well_formed() -> None:
    """Every entry has a reason and one thing that shows it; no name twice; what a verification needs is in it."""
    packages = load_packages()
    names = [each.name for each in packages]
    assert len(names) == len(set(names))
    assert all(each.reason for each in packages)
    assert {"mmdebstrap", "debian-archive-keyring"} <= {each.name for each in packages if each.need is Need.REQUIRED}


def test_two_signs_or_none_are_refused() -> None:
    """A package that nothing shows, or two things do, is a mistake in the list."""
    with pytest.raises(ValueError, match="exactly one of program, file and library"):
        Package(name="thing", need=Need.REQUIRED, reason="for things")
    with pytest.raises(ValueError, match="exactly one of program, file and library"):
        Package(name="thing", need=Need.REQUIRED, reason="for things", program="sh", file="/bin/sh")


def test_presence_is_seen_by_program_file_and_library() -> None:
    """Whichever package brought the thing, it counts: other distributions name their packages otherwise."""
    assert package(Need.REQUIRED, "sh").is_present
    assert not package(Need.REQUIRED, "no-such-program").is_present
    assert Package(name="c", need=Need.REQUIRED, reason="c", library="libc.so.6").is_present
    assert not Package(name="c", need=Need.REQUIRED, reason="c", library="libno-such.so.1").is_present
    assert Package(name="f", need=Need.REQUIRED, reason="f", file="/etc/passwd").is_present
    assert not Package(name="f", need=Need.REQUIRED, reason="f", file="/no/such").is_present


@pytest.mark.parametrize(
    ("need", "condition"),
    [(Need.REQUIRED, Condition.MISSING), (Need.RECOMMENDED, Condition.WARN), (Need.OPTIONAL, Condition.WARN)],
)
def test_absence_is_as_bad_as_the_need(need: Need, condition: Condition) -> None:
    """Only what is required makes a verification impossible; each absence comes with its command."""
    (finding,) = examine_packages((package(need, "no-such-program"),))
    assert finding.condition is condition
    assert finding.remedy == "apt-get install --no-install-recommends thing"


def test_what_only_tests_need_is_left_out() -> None:
    """A person who verifies is not told about tools of the test suite."""
    assert examine_packages((package(Need.TESTS, "no-such-program"),)) == ()
