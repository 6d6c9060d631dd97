"""`rebuilder report`: counts, lists, one result; and the ledger made again from results."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rebuilder.model.dossier import Dossier
from rebuilder.publish.tree import publish
from tests.publish import factory, hostile

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish one result of every kind, to be copied."""
    return _publish(tmp_path_factory.mktemp("published"), factory.sample())


@pytest.fixture
def results(published: Path, tmp_path: Path) -> Path:
    """Copy those results to where a test runs."""
    return Path(shutil.copytree(published, tmp_path / "results"))


def _publish(directory: Path, sample: Iterable[tuple[Dossier, int]]) -> Path:
    blobs = factory.blob_store(directory / "store")
    for dossier, ordinal in sample:
        publish(factory.publication(dossier, ordinal=ordinal, blobs=blobs), directory / "results", blobs)
    return directory / "results"


def test_the_list_counts_what_is_current(cli: Cli, results: Path) -> None:
    """Text for a person, JSON for a program, Markdown for a page: the same results."""
    code, text, _ = cli("report")
    assert code == 0
    found = json.loads(cli("report", "--json")[1])
    assert set(found) == {"counts", "results", "unreadable"}
    assert sum(found["counts"].values()) > 0
    assert set(found["counts"]) == {"reproduced", "equivalent", "undecided", "different"}
    assert f"{sum(found['counts'].values())} current" in text
    markdown = cli("report", "--format", "markdown")[1]
    assert "| verdict | package |" in markdown
    assert all(each["name"] in text and each["verdict"] in markdown for each in found["results"])


def test_superseded_results_are_left_out_or_marked(cli: Cli, results: Path) -> None:
    """The list has the newest of each version alone; a package's has the others too, marked."""
    every = cli("report")[1]
    assert ("1 superseded" in every, "superseded;" in every) == (True, False)
    assert len([line for line in every.splitlines() if "cjson 1.7.18-3.1" in line]) == 1
    mine = [line for line in cli("report", "cjson")[1].splitlines() if "cjson 1.7.18-3.1" in line]
    assert ["superseded" in line for line in mine] == [False, True]


def test_one_package_and_one_result(cli: Cli, results: Path) -> None:
    """By name, and by directory, artifact by artifact."""
    every = json.loads(cli("report", "--json")[1])["results"]
    name = every[0]["name"]
    mine = json.loads(cli("report", name, "--json")[1])["results"]
    assert {each["name"] for each in mine} == {name}
    directory = results / mine[0]["path"]
    one = json.loads(cli("report", directory, "--json")[1])
    assert one["verdict"] == mine[0]["verdict"]
    assert len(one["artifacts"]) == mine[0]["artifacts"]
    assert mine[0]["verdict"] in cli("report", directory)[1]
    assert "| verdict | artifact |" in cli("report", directory, "--format", "markdown")[1]


def test_one_result_tells_its_variations(cli: Cli, results: Path) -> None:
    """As text, as Markdown and as JSON; a result without the experiment says nothing of it."""
    (directory,) = (results / "deb/libssh2/1.11.1-2/amd64").glob("*-0")
    (told,) = json.loads(cli("report", directory, "--json")[1])["variations"]
    (name,) = told["changed"]
    assert (told["factor"], told["failed"]) == ("clock", None)
    assert f"clock: changes {name}\n" in cli("report", directory)[1]
    assert "- variation clock: changes" in cli("report", directory, "--format", "markdown")[1]
    (without,) = (results / "deb/cjson/1.7.17-1/amd64").glob("*-0")
    assert "variation" not in cli("report", without)[1]


def test_what_is_not_there_is_said(cli: Cli, results: Path) -> None:
    """No results yet, or none of that package."""
    code, _, err = cli("report", "--results", "elsewhere")
    assert (code, "no such directory" in err) == (4, True)
    code, _, err = cli("report", "absent")
    assert (code, "no result of absent" in err) == (2, True)


def test_a_damaged_result_is_listed_as_unreadable(cli: Cli, results: Path) -> None:
    """It is not dropped, and does not hide the others."""
    damaged = next(results.glob("*/*/*/*/*/dossier.json"))
    damaged.write_text("{}")
    found = json.loads(cli("report", "--json")[1])
    assert len(found["unreadable"]) == 1
    assert found["results"]
    assert "unreadable: " in cli("report")[1]


def test_hostile_names_stay_text(cli: Cli, tmp_path: Path) -> None:
    """Neither the terminal nor Markdown obeys what a release is called."""
    results = _publish(tmp_path, [(hostile.dossier(), 0)])
    directory = next(results.glob("*/*/*/*/*/dossier.json")).parent
    for arguments in ((), ("--format", "markdown"), (directory,), (directory, "--format", "markdown")):
        code, out, _ = cli("report", *arguments)
        assert code == 0
        assert not any(ord(char) < 32 and char not in "\n\t" for char in out)
        assert "markdown" not in arguments or re.search(r"(?<!\\)<", out) is None


def test_pages_are_made_again(cli: Cli, results: Path) -> None:
    """Deleted pages come back as they were; without results there is nothing to make."""
    before = (results / "index.html").read_bytes()
    (results / "index.html").unlink()
    code, out, _ = cli("render")
    assert (code, out) == (0, f"{results / 'index.html'}\n")
    assert (results / "index.html").read_bytes() == before
    assert cli("render", "--results", "elsewhere")[0] == 4


def test_the_ledger_is_made_again_from_results(cli: Cli, tmp_path: Path) -> None:
    """A fresh state directory knows the history after `ledger rebuild`."""
    results = _publish(tmp_path, [(dossier, 0) for dossier, ordinal in factory.sample() if ordinal == 0])
    code, out, _ = cli("ledger", "rebuild", "--json")
    restored = json.loads(out)
    assert (code, restored["refused"]) == (0, [])
    assert restored["dossiers"] == len(list(results.glob("*/*/*/*/*/dossier.json")))
    name = json.loads(cli("report", "--json")[1])["results"][0]["name"]
    assert json.loads(cli("ledger", "history", name, "--json")[1])
    assert name in cli("ledger", "history", name)[1]
    assert set(json.loads(cli("ledger", "events", "--json")[1])) == {"events", "regressions"}
    assert cli("ledger", "events")[0] == 0
