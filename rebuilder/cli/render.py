"""`rebuilder render`: pages, badges, lists and feeds again, from the documents alone."""

from __future__ import annotations

from pathlib import Path

from rebuilder.cli import options
from rebuilder.cli.output import say, say_json
from rebuilder.errors import StorageFailure


@options.verb(
    "render",
    """
rebuilder render                         make every page of ./results again
rebuilder render --results /srv/results
""",
)
@options.results_option
@options.config_option
@options.json_option
def command(results: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Make every page, badge, list and feed of the results again, and remove those that no document stands behind.

    They are a pure function of the documents, which are left as they are: use it after an upgrade, or after deleting
    what should no longer be shown.
    """
    from rebuilder.publish.render import render_all  # noqa: PLC0415 - templates are slow to load

    settings = options.settings_from(config, results=results)
    if not settings.results.is_dir():
        raise StorageFailure(f"{settings.results}: no such directory", hint="name the results with --results")
    render_all(settings.results)
    if as_json:
        say_json({"results": str(settings.results)})
    else:
        say(f"{settings.results / 'index.html'}")
