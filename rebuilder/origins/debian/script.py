"""The shell script of a plan, rendered from a recipe: only data goes in, and every value is quoted.

It is POSIX shell, ends at the first failure, and starts each program of the build in an environment that holds the
plan's variables and nothing else, whatever the engine adds to its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from rebuilder.errors import ConfigurationError
from rebuilder.model.plan import Environment
from rebuilder.origins.debian.recipe import BuildRecipe, OutputPattern, Step

OUTPUT = "/output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What one build is about."""

    dsc: str
    """File name under /input."""
    kind: str
    """`any` or `all`."""
    changelog: str | None = None
    """File name under /input of a binNMU's changelog entry."""
    wrapper: tuple[str, ...] = ()
    """Put before each program that runs in the source tree; for variation runs. Unpacking is no part of the build."""


def render(recipe: BuildRecipe, build: Build, environment: Environment) -> str:
    """Render the script; raise ConfigurationError for a recipe that says something unknown."""
    return "\n".join([*_lines(recipe, build, environment), ""])


def _lines(recipe: BuildRecipe, build: Build, environment: Environment) -> Iterator[str]:
    variables = [f"{name}={value}" for name, value in environment.variables]
    yield "set -eu"
    yield f"umask {_quoted(recipe.environment.umask)}"
    yield f'run() {{ env -i {_quoted(*variables)} "$@"; }}'
    yield f"mkdir -p {_quoted(str(PurePosixPath(environment.build_path).parent))}"
    values = _values(recipe, build, environment)
    entered = False
    for step in recipe.steps:
        if step.when not in {None, "binnmu"}:
            raise ConfigurationError(f"recipe {recipe.name}: unknown condition {step.when!r}")
        if step.when is None or build.changelog is not None:
            yield from _step(recipe, step, values, build.wrapper if entered else ())
            entered = entered or step.enter is not None
    yield "cd .."
    for output in recipe.outputs:
        yield from _collect(output)


def _values(recipe: BuildRecipe, build: Build, environment: Environment) -> dict[str, str]:
    option = next((entry.option for entry in recipe.builds if entry.kind == build.kind), None)
    if option is None:
        raise ConfigurationError(f"recipe {recipe.name}: no option to build arch:{build.kind} packages")
    values = {"dsc": build.dsc, "tree": environment.build_path, "build": option}
    return values | ({"changelog": build.changelog} if build.changelog else {})


def _step(recipe: BuildRecipe, step: Step, values: dict[str, str], wrapper: tuple[str, ...]) -> Iterator[str]:
    def filled(text: str) -> str:
        try:
            return text.format_map(values)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise ConfigurationError(f"recipe {recipe.name}: {text!r} names an unknown value") from error

    if step.run:
        yield f"run {_quoted(*wrapper, *(filled(word) for word in step.run))}"
    elif step.enter is not None:
        yield f"cd {_quoted(filled(step.enter))}"
    elif step.prepend is not None and step.text is not None:
        target, before = _quoted(filled(step.prepend)), _quoted("../before.rebuilder")
        yield f"cp {target} {before}"
        yield f"cat {_quoted(filled(step.text))} {before} >{target}"
        yield f"rm {before}"
    else:
        raise ConfigurationError(f"recipe {recipe.name}: a step that does nothing ({step.reason})")


def _collect(output: OutputPattern) -> Iterator[str]:
    """Copy what matches; the pattern is ours and stays unquoted, the names that it finds do not."""
    if not set(output.pattern) <= set("*.abcdefghijklmnopqrstuvwxyz"):
        raise ConfigurationError(f"not a plain output pattern: {output.pattern!r}")
    yield "found="
    yield f"for file in ./{output.pattern}; do"
    yield f'  if [ -f "$file" ] && [ ! -h "$file" ]; then cp -- "$file" {OUTPUT}/; found=yes; fi'
    yield "done"
    if output.required:
        yield f'if [ -z "$found" ]; then echo {_quoted(f"the build made no {output.pattern}")} >&2; exit 70; fi'


def _quoted(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
