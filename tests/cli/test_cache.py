"""`rebuilder cache`, without an engine: downloads are counted, pruned and cleared."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rebuilder.store.blobs import LocalBlobs

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
# docker-py leaves the socket of a failed connection to the garbage collector.

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put three downloads of 1000 bytes into the cache, and no engine anywhere."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    blobs = LocalBlobs(tmp_path / "xdg_cache_home" / "rebuilder" / "blobs")
    for letter in b"abc":
        blobs.put(bytes([letter]) * 1000)
    yield
    gc.collect()


def test_usage_is_shown_and_the_missing_engine_is_noted(cli: Cli) -> None:
    """Without an engine the downloads are still there to be seen."""
    code, out, err = cli("cache", "show", "--json")
    assert code == 0
    assert json.loads(out)["caches"] == [{"name": "downloads", "count": 3, "size_bytes": 3000}]
    assert "prepared environments are left out" in err
    assert "2.9 KiB of 20.0 GiB" in cli("cache", "show")[1]


def test_pruning_stops_at_the_budget_and_clearing_at_nothing(cli: Cli) -> None:
    """What was used longest ago goes first; the rest stays."""
    code, out, _ = cli("cache", "prune", "--budget", "2000 B", "--json")
    assert (code, json.loads(out)["removed"][0]["count"]) == (0, 1)
    assert json.loads(cli("cache", "clear", "--json")[1])["removed"][0]["size_bytes"] == 2000
    assert json.loads(cli("cache", "show", "--json")[1])["caches"][0]["count"] == 0


def test_a_budget_without_sense_is_usage(cli: Cli) -> None:
    """The same words as in the file."""
    code, _, err = cli("cache", "prune", "--budget", "some")
    assert code == 2
    assert "expected a size such as 512 MiB or 20 GiB, found 'some'" in err


def test_a_sweep_without_an_engine_says_so(cli: Cli) -> None:
    """Nothing to sweep is not the same as nobody to ask."""
    code, _, err = cli("sweep")
    assert code == 4
    assert "no container engine answers" in err
