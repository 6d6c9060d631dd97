"""Settings of the farm: what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.config import load_settings
from rebuilder.errors import ConfigurationError


def test_a_farms_settings_have_bounds_as_well(tmp_path: Path) -> None:
    """What a clock, a database or a worker would refuse much later is refused at loading."""
    path = tmp_path / "rebuilder.toml"
    path.write_text(
        """
        [farm]
        coordinator = "file:///srv/farm"
        blobs_endpoint = "file:///srv/blobs"
        lease = "4000 d"
        sweep = "4000 d"
        wake_again = "4000 d"
        connections_per_address = 257
        recheck = "40000 d"
        recheck_regression = "40000 d"
        [[farm.suites]]
        suite = "trixie"
        quota = 99999999999
        recheck = "40000 d"
        """
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, environment={})
    for part in (
        "10 settings are wrong",
        "farm.coordinator: expected an address with http:// or https://, found 'file:///srv/farm'",
        "farm.blobs_endpoint: expected an address with http:// or https://",
        "farm.lease: expected more than 0 s and at most 3650 d",
        "farm.sweep: expected more than 0 s and at most 3650 d",
        "farm.wake_again: expected more than 0 s and at most 3650 d",
        "farm.connections_per_address: expected 1 to 256, found 257",
        "farm.recheck: expected at most 36500 d, found 40000 d",
        "farm.recheck_regression: expected at most 36500 d, found 40000 d",
        "farm.suites[1].quota: expected 1 to 1000000, found 99999999999",
        "farm.suites[1].recheck: expected at most 36500 d, found 40000 d",
    ):
        assert part in str(caught.value)


def test_an_authority_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A file that is missing is told at loading, and not as a broker or a coordinator that does not answer."""
    with pytest.raises(ConfigurationError, match=r"farm\.authority_file: no such file: /nowhere/authority\.pem"):
        load_settings(environment={"REBUILDER_FARM_AUTHORITY_FILE": "/nowhere/authority.pem"})
