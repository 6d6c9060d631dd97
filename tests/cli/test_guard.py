"""Whatever happens, the person sees a message, a hint and an exit code; as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.cli import app as app_module
from rebuilder.errors import RebuilderError

Cli = Callable[..., tuple[int, str, str]]

_FAKE_VERB = """
    import sys, time
    import click
    from types import SimpleNamespace
    import rebuilder.cli.app as app
    from rebuilder.cli.guard import run

    @click.command()
    def command():
        {body}

    sys.modules["rebuilder.cli.fake"] = SimpleNamespace(command=command)
    app.VERBS["fake"] = ("fake", "A verb of the test.")
    sys.exit(run(["fake"]))
"""


def _process(body: str) -> subprocess.Popen[str]:
    program = textwrap.dedent(_FAKE_VERB).format(body=body)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _outcome(body: str, *, send: int | None = None) -> tuple[int, str, str]:
    process = _process(body)
    if send is not None:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(send)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    return process.returncode, out, err


def test_a_fault_of_ours_leaves_its_traceback_in_a_file(tmp_path: Path) -> None:
    """`internal error`, exit code 4, and the path of what a developer needs."""
    code, _, err = _outcome("raise ZeroDivisionError('by nobody')")
    assert code == 4
    assert "error: internal error: ZeroDivisionError: by nobody" in err
    (saved,) = (tmp_path / "xdg_state_home" / "rebuilder" / "crashes").iterdir()
    assert str(saved) in err
    assert "ZeroDivisionError: by nobody" in saved.read_text()


def test_a_fault_is_kept_in_the_state_directory_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REBUILDER_STATE holds crash reports as well."""
    monkeypatch.setenv("REBUILDER_STATE", str(tmp_path / "state"))
    assert _outcome("raise ZeroDivisionError('by nobody')")[0] == 4
    assert len(list((tmp_path / "state" / "crashes").iterdir())) == 1
    assert not (tmp_path / "xdg_state_home").exists()


_WRITERS = ("--help", "policy", "policy --json", "--version", "completion bash", "verify --help")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize("command", _WRITERS)
def test_output_that_cannot_be_written_is_a_plain_error(command: str, redirection: str, unbuffered: str) -> None:
    """A closed stdout or a full disk: exit code 4 and the reason; no defect, no traceback."""
    code, err = _shell(f"{command} {redirection}", unbuffered)
    assert code == 4
    assert err.startswith("error: the output could not be written: ")
    assert "defect" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("size", [10, 100_000])
def test_json_that_cannot_be_written_is_a_plain_error(size: int, unbuffered: str) -> None:
    """One long line to a full disk, longer than any buffer, is told as text is: once, and as no defect."""
    program = textwrap.dedent(_FAKE_VERB).format(
        body=f"from rebuilder.cli.output import say_json; say_json(['x' * {size}])"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert (done.returncode, done.stderr.count("error: the output could not be written: No space left")) == (4, 1)
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
def test_an_error_that_nobody_can_read_still_has_its_exit_code(redirection: str) -> None:
    """Where stderr is closed or full, the exit code says it alone."""
    assert _shell(f"verfy {redirection}") == (2, "")


def _shell(words: str, unbuffered: str = "") -> tuple[int, str]:
    program = "from rebuilder.cli import main; main()"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {words}', sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    return done.returncode, done.stderr


def test_a_message_is_one_line_whatever_is_in_it(cli: Cli) -> None:
    """The forged hint attack: a newline in a name makes no line of its own, and a long name fills no terminal."""
    code, _, err = cli("verify", "--suite", "sid", "deb:trixie/x\nhint: rm -rf /\x1b[2J" + "y" * 100_000)
    assert code == 2
    assert "x\\nhint: rm" in err
    assert "\x1b" not in err
    assert len(err.splitlines()) == 2
    assert len(err) < 5000


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent", "absent: no such directory"), (".", ".: not a signing request: it has no context.json")],
)
def test_signing_what_is_no_request_is_usage(name: str, words: str, cli: Cli) -> None:
    """No such directory, or one that is something else: exit code 2, and what is expected."""
    code, out, err = cli("sign", name)
    assert (code, out) == (2, "")
    assert f"error: {words}" in err


def test_a_fault_is_told_even_where_nothing_can_be_saved(tmp_path: Path) -> None:
    """A state directory that cannot be made does not hide the first fault behind a second."""
    (tmp_path / "xdg_state_home").write_text("in the way")
    code, _, err = _outcome("raise ZeroDivisionError('by nobody')")
    assert code == 4
    assert "the details could not be saved" in err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)]
)
def test_signals_end_in_order(number: int, code: int) -> None:
    """Ctrl-C, kill and a closed terminal run every clean-up and say so."""
    body = """
        try:
            print("ready")
            time.sleep(30)
        finally:
            print("cleaned up")
    """
    found, out, err = _outcome(textwrap.indent(textwrap.dedent(body), " " * 4).strip(), send=number)
    assert (found, out) == (code, "cleaned up\n")
    assert "error: " in err


def test_a_reader_who_left_is_no_error() -> None:
    """`rebuilder report | head -1` ends quietly."""
    process = _process("[click.echo('line ' * 100) for _ in range(10000)]")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), err) == (141, "")


def test_memory_that_ran_out_is_said() -> None:
    """No traceback for it either."""
    code, _, err = _outcome("raise MemoryError")
    assert code == 4
    assert "ran out of memory" in err


def test_a_misspelt_verb_is_suggested(cli: Cli) -> None:
    """Exit code 2, the near verb, and where help is."""
    code, out, err = cli("verfy", "deb:trixie/cjson")
    assert (code, out) == (2, "")
    assert "no such command: verfy; did you mean verify?" in err


def test_the_overview_names_every_verb_and_imports_none(tmp_path: Path) -> None:
    """`--help` is quick because no verb is loaded for it."""
    program = (
        "import sys; from rebuilder.cli.guard import run; code = run(['--help']);"
        "print(sorted(name for name in sys.modules if name.startswith('rebuilder.cli.')));"
        "assert 'sqlalchemy' not in sys.modules and 'docker' not in sys.modules; sys.exit(code)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 10
    assert all(verb in done.stdout for verb in (*app_module.VERBS, *app_module.joined()))
    assert "rebuilder.cli.verify" not in done.stdout


def test_version_and_help_of_every_verb_work(cli: Cli) -> None:
    """Each verb loads, and teaches by its help."""
    assert cli("--version")[:2] == (0, "rebuilder, version 0.1.0\n")
    for verb in (*app_module.VERBS, *app_module.joined()):
        code, out, _ = cli(verb, "--help")
        assert code == 0, verb
        assert "Usage: rebuilder" in out


def test_every_verb_that_is_named_somewhere_exists() -> None:
    """Hints, pages and documents send nobody to a command that is not there."""
    root = Path(__file__).resolve().parents[2]
    files = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("rebuilder/**/*.py"), root / "Makefile"]
    named = {
        (verb, path.name)
        for path in files
        for verb in re.findall(r"`(?:\.venv/bin/)?rebuilder ([a-z]+)", path.read_text())
    }
    assert len(named) > 20
    known = {*app_module.VERBS, *app_module.joined()}
    assert {pair for pair in named if pair[0] not in known} == set()


def test_the_documentation_has_every_verb() -> None:
    """docs/COMMAND_LINE.md lists the verbs that there are."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "COMMAND_LINE.md").read_text()
    assert set(re.findall(r"^\| `([a-z]+)", text, re.MULTILINE)) >= {*app_module.VERBS, *app_module.joined()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str, cli: Cli) -> None:
    """For each shell, and it names the variable that click answers to."""
    code, out, _ = cli("completion", shell)
    assert code == 0
    assert "_REBUILDER_COMPLETE" in out


def test_completion_answers_with_verbs() -> None:
    """What a shell asks for while a verb is typed."""
    words = {"COMP_WORDS": "rebuilder ve", "COMP_CWORD": "1", "_REBUILDER_COMPLETE": "bash_complete"}
    program = "from rebuilder.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**os.environ, **words}
    )
    assert done.stdout == "plain,verify\n"


def test_every_error_of_the_tree_has_an_exit_code_of_the_contract() -> None:
    """Exit codes are those of the architecture; 1 is a verdict and no error."""

    def tree(kind: type[RebuilderError]) -> set[int]:
        return {kind.exit_code}.union(*(tree(child) for child in kind.__subclasses__()))

    assert tree(RebuilderError) == {2, 3, 4, 130}
