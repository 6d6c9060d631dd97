"""The command `rebuilder` and its verbs. A verb's module is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click
from click.shell_completion import CompletionItem, shell_complete

import rebuilder
from rebuilder.config import completion_wish

COMPLETION_VARIABLE = "_REBUILDER_COMPLETE"

VERBS: dict[str, tuple[str, str]] = {
    "verify": ("verify", "Rebuild a release from its source and say whether it is what was published."),
    "explain": ("explain", "Compare two local files and say what differs, and why."),
    "check": ("check", "Re-compute a published verdict from its documents, offline, with a key you trust."),
    "replay": ("replay", "Run a published rebuild again and compare."),
    "report": ("report", "Show what was concluded: counts, a list, or one result."),
    "render": ("render", "Make every page, badge and list again from the documents."),
    "image": ("image", "Lock, build, verify and list base images."),
    "keys": ("keys", "Make, show, export and pin keys."),
    "layout": ("layout", "Make a signed layout, so that stock in-toto clients accept what was reproduced."),
    "doctor": ("doctor", "Say what is missing on this machine and how to get it."),
    "cache": ("cache", "Show, prune or clear downloads and prepared environments."),
    "sweep": ("sweep", "Remove containers and volumes that a killed run left behind."),
    "ledger": ("ledger", "Make the ledger again from the results, or show its history and events."),
    "withdraw": ("withdraw", "Say in a signed document that a published result is not to be relied on."),
    "policy": ("policy", "Show the settings and the policy that hold here."),
    "sign": ("sign", "Sign what is in a request directory (a step and process of its own)."),
    "completion": ("completion", "Print the completion script for a shell."),
}
"""Verb -> (module under rebuilder.cli holding `command`, its sentence in the overview), in the overview's order."""


JOINED = "rebuilder.verbs"
"""Entry points of installed parts that bring verbs: each names a table like VERBS, with whole module names."""


@cache
def joined() -> Mapping[str, tuple[str, str]]:
    """Collect the verbs of installed parts: whoever only imports `rebuilder` never loads them."""
    found: dict[str, tuple[str, str]] = {}
    for point in sorted(entry_points(group=JOINED), key=lambda each: each.name):
        found |= point.load()
    return {name: entry for name, entry in found.items() if name not in VERBS}


class Overview(click.Group):
    """A group that knows its verbs' names and sentences without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in the order in which a newcomer needs them."""
        return [*VERBS, *joined()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the one verb that is asked for."""
        if cmd_name in VERBS:
            module = f"rebuilder.cli.{VERBS[cmd_name][0]}"
        elif cmd_name in joined():
            module = joined()[cmd_name][0]
        else:
            return None
        command = import_module(module).command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the near verb for a misspelt one."""
        from rebuilder.model.table import closest  # noqa: PLC0415 - only on the way to an error

        if args and args[0] not in VERBS and not args[0].startswith("-") and args[0] not in joined():
            raise click.UsageError(f"no such command: {args[0]}{closest(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the overview from the sentences here."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in VERBS.items()])
        if joined():
            with formatter.section("Commands for a farm"):
                formatter.write_dl([(name, sentence) for name, (_, sentence) in joined().items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs without importing them."""
        every = {**VERBS, **joined()}
        verbs = [CompletionItem(name, help=text) for name, (_, text) in every.items() if name.startswith(incomplete)]
        return verbs or super().shell_complete(ctx, incomplete)


_EPILOG = """\b
Begin with:
  rebuilder doctor
  rebuilder verify deb:trixie/cjson
  rebuilder report

\b
Exit codes: 0 reproduced (or equivalent, where policy allows), 1 different,
2 usage, 3 an input could not be trusted, 4 undecided or the tool failed."""


@click.command(cls=Overview, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rebuilder.__version__, prog_name="rebuilder")
def app() -> None:
    """Prove that a released artifact follows from the source it claims, or show where it does not.

    `rebuilder` authenticates a release, rebuilds it from its source in containers without network, compares byte for
    byte, explains each difference, and publishes the verdict as signed in-toto attestations.
    """


def invoke(arguments: Sequence[str]) -> Any:  # noqa: ANN401 - whatever a verb returns: an exit code or None
    """Parse and run; every exception passes through to the guard, as click's own `main` would not let it."""
    if wish := completion_wish(COMPLETION_VARIABLE):
        return shell_complete(app, {}, "rebuilder", COMPLETION_VARIABLE, wish)
    with app.make_context("rebuilder", list(arguments)) as context:
        return app.invoke(context)
