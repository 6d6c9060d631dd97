"""Options that several verbs share, and the class of every verb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rebuilder.cli.output import OutputLost, as_json, say_json
from rebuilder.config import Settings, load_settings
from rebuilder.errors import RebuilderError

Verb = TypeVar("Verb", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"]}


class JsonVerb(click.Command):
    """A verb whose errors are JSON too when `--json` was given; the message on stderr and the exit code stay."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever the verb returns
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except OutputLost:
            raise
        except RebuilderError as error:
            if ctx.params.get("as_json"):
                say_json(as_json(error))
            raise


def verb(name: str, epilog: str = "") -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function; `epilog` holds examples, one a line."""
    examples = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in epilog.strip().splitlines()) if epilog else None
    return click.command(name, cls=JsonVerb, epilog=examples, context_settings=CONTEXT)


def config_option(function: Verb) -> Verb:
    """`--config FILE`."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Settings instead of ./rebuilder.toml or the one in your configuration directory.",
    )(function)


def json_option(function: Verb) -> Verb:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, for programs.")(function)


def results_option(function: Verb) -> Verb:
    """`--results DIR`."""
    return click.option(
        "--results",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Where results are published (default: ./results).",
    )(function)


def quiet_option(function: Verb) -> Verb:
    """`--quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress on stderr, only errors.")(function)


def settings_from(config: Path | None, **overrides: object) -> Settings:
    """Load settings; `limits__memory=…` overrides the key `limits.memory`, and None overrides nothing."""
    return load_settings(config, {key.replace("__", "."): value for key, value in overrides.items()})
