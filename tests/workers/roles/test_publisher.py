"""A publisher with much to do: lists for many results at once, at the times that it should."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from rebuilder.model.digest import Digest
from rebuilder.publish.pending import PENDING
from tests.workers.office import Office
from workers.lease.protocol import Claim
from workers.roles.place import Place
from workers.roles.publisher import Publisher
from workers.serving import serve


@dataclass
class Clock:
    """A clock that a test moves; each look takes a second."""

    now: float = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        self.now += 1
        return self.now


def listed(office: Office) -> int:
    """Count what the list of everything has."""
    index = office.settings.results / "index.json"
    return len(json.loads(index.read_bytes())["results"]) if index.exists() else 0


def test_lists_are_made_now_and_then_and_at_rest(tmp_path: Path) -> None:
    """The first result is listed, those of the next seconds are not, then all are; and at rest nothing is left."""
    office, clock, seen = Office(tmp_path), Clock(), list[int]()
    publisher = Publisher(office.settings.results, clock)

    def step(claim: Claim, place: Place) -> Digest:
        report = publisher.publish(claim, place)
        seen.append(listed(office))
        return report

    for number in range(9):
        office.owe(f"tool-{number}")
    post = replace(office.posts.pop("publisher"), step=step, rest=publisher.rest)
    office.work()
    assert serve(post) == 9
    assert seen == [1, 1, 1, 1, 1, 6, 6, 6, 6]
    assert listed(office) == 9
    assert not (office.settings.results / PENDING).exists()


def test_what_a_killed_publisher_left_is_listed_when_the_next_one_rests(tmp_path: Path) -> None:
    """The marker outlives the process: without any further publication the lists are made."""
    office = Office(tmp_path)
    publisher = Publisher(office.settings.results)
    for name in ("one", "two"):
        office.owe(name)
    post = replace(office.posts.pop("publisher"), step=publisher.publish)
    office.work()
    assert serve(post) == 2
    assert listed(office) == 1
    fresh = Publisher(office.settings.results)
    assert serve(replace(post, step=fresh.publish, rest=fresh.rest)) == 0
    assert listed(office) == 2


def test_pages_are_there_before_the_first_result(tmp_path: Path) -> None:
    """A publisher that rests makes the front page, which says that there is nothing yet; one that is there stays."""
    publisher = Publisher(tmp_path)
    publisher.rest()
    page = tmp_path / "index.html"
    assert "Nothing has been published here yet." in page.read_text()
    assert (tmp_path / "static" / "style.css").is_file()
    assert json.loads((tmp_path / "index.json").read_bytes())["results"] == []
    page.write_text("made before")
    publisher.rest()
    assert page.read_text() == "made before"


def test_pages_that_are_gone_are_made_of_what_was_published(tmp_path: Path) -> None:
    """Results that were restored without their front page get it when the publisher starts."""
    office = Office(tmp_path)
    publisher = Publisher(office.settings.results)
    office.owe("one")
    post = replace(office.posts.pop("publisher"), step=publisher.publish, rest=publisher.rest)
    office.work()
    assert serve(post) == 1
    page = office.settings.results / "index.html"
    wanted = page.read_bytes()
    page.unlink()
    Publisher(office.settings.results).rest()
    assert page.read_bytes() == wanted
