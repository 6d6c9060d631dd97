"""`rebuilder work`: one machine that is a whole farm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rebuilder.errors import UsageError
from workers.verbs.work import command


def run(config: Path, *words: str) -> str:
    """Run the verb with this configuration."""
    return CliRunner().invoke(command, ["--config", str(config), *words], catch_exceptions=False).output


def test_nothing_owed_is_nothing_done(tmp_path: Path) -> None:
    """The keys of all roles are made, and the answer is one line."""
    config = tmp_path / "rebuilder.toml"
    config.write_text('state = "state"\ncache = "cache"\nresults = "results"\n')
    assert json.loads(run(config, "--json", "--quiet").splitlines()[-1])["done"] == 0
    assert {path.stem for path in (tmp_path / "state" / "keys").glob("*.pem")} == {"attestation", "builder", "comparer"}


def test_a_part_of_a_farm_does_not_work_alone(tmp_path: Path) -> None:
    """Where a coordinator is named, the ledger of this machine is not the farm's."""
    config = tmp_path / "rebuilder.toml"
    config.write_text('[farm]\ncoordinator = "https://coordinator.test"\n')
    with pytest.raises(UsageError, match=r"farm\.coordinator is set"):
        run(config)
