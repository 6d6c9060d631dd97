"""`rebuilder policy` shows what holds, and is itself a file that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., tuple[int, str, str]]


def test_what_is_shown_can_be_read_again(cli: Cli) -> None:
    """`rebuilder policy > rebuilder.toml` holds the same settings."""
    Path("mine.toml").write_text(
        'jobs = 3\ncache_budget = "1500 B"\nlimits.wall = "90 s"\n'
        '[[debian.archives]]\nlabel = "a"\nuri = "http://127.0.0.1/"\nsuites = ["trixie"]\n'
        f'[debian.images]\ntrixie = "127.0.0.1:5000/base@sha256:{"0" * 64}"\n'
        '[[farm.packages]]\npattern = "linux*"\nresources = "large"\ntags = ["fast"]\n'
        '[[farm.suites]]\nsuite = "sid"\nrecheck = "5 d"\n'
    )
    code, first, _ = cli("policy", "--config", "mine.toml")
    assert code == 0
    assert 'cache_budget = "1500 B"' in first
    assert 'limits.wall = "90 s"' in first
    assert 'debian.images."trixie" = "127.0.0.1:5000/base@sha256:0000' in first
    assert '[[farm.packages]]\npattern = "linux*"\nresources = "large"\ntags = ["fast"]\n# block is not set' in first
    assert '[[farm.suites]]\nsuite = "sid"\n# quota is not set\nrecheck = "5 d"' in first
    Path("again.toml").write_text(first)
    assert cli("policy", "--config", "again.toml") == (0, first, "")


def test_json_names_the_policy_by_digest(cli: Cli) -> None:
    """The digest changes with the policy, as in documents."""
    first = json.loads(cli("policy", "--json")[1])
    Path("rebuilder.toml").write_text("policy.accept_expired = true")
    second = json.loads(cli("policy", "--json")[1])
    assert first["digest"] != second["digest"]
    assert second["policy"]["accept_expired"] is True


def test_a_wrong_file_is_told_with_every_fault(cli: Cli) -> None:
    """Exit code 2, both faults, the hint."""
    Path("rebuilder.toml").write_text('jobz = 1\nlimits.pids = "many"')
    code, out, err = cli("policy")
    assert (code, out) == (2, "")
    assert "jobz: unknown key; did you mean jobs?" in err
    assert "limits.pids: expected a whole number, found 'many'" in err
