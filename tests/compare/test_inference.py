"""What diffoscope's JSON points to is read within bounds, named as its word, and never more than that."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rebuilder.compare.diffoscope import ReportBounds
from rebuilder.compare.diffoscope_json import SIZE_LIMIT_BYTES, parse_report
from rebuilder.compare.explain import explain
from rebuilder.compare.inference import PLACES, RULE, infer, infer_under
from rebuilder.errors import HostileInput
from rebuilder.model.cause import Cause
from rebuilder.model.codec import parse, render
from rebuilder.model.comparison import INFERABLE, ArtifactComparison
from rebuilder.model.verdict import Verdict
from tests.compare.makers import sample


def node(name: str, diff: str | None = None, *details: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Write one difference as diffoscope does."""
    return {"source1": name, "source2": name, "unified_diff": diff, "details": list(details), **more}


def report(*details: dict[str, Any], **more: Any) -> bytes:
    """Write a report."""
    return json.dumps({"diffoscope-json-version": 1, **node("reference/a.deb", None, *details), **more}).encode()


def lines(*pairs: tuple[str, str]) -> str:
    """Write a unified diff in which each first line became the second."""
    return "@@ -1,1 +1,1 @@\n" + "".join(f"-{one}\n+{other}\n context\n" for one, other in pairs)


def dump(text: bytes, side: str) -> str:
    """Write bytes as `readelf --hex-dump` does."""
    rows = [text[at : at + 16] for at in range(0, len(text), 16)]
    words = [" ".join(row[at : at + 4].hex() for at in range(0, len(row), 4)) for row in rows]
    return "".join(f"{side}  0x{16 * n:08x} {word} ascii\n" for n, word in enumerate(words))


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        ("strings --all --bytes=8 {}", "built on Jan  1 2024", "built on Nov 24 2026", Cause.BUILD_DATE),
        ("msgunfmt {}", '"Made: 2024-01-01 10:00+0000\\n"', '"Made: 2026-11-24 10:00+0000\\n"', Cause.BUILD_DATE),
        ("./usr/share/man/man1/a.1", '.TH A "1" "January 2024"', '.TH A "1" "November 2026"', Cause.BUILD_DATE),
        ("pdftotext {} -", "CreationDate: D:20240101100000+01'00'", "CreationDate: D:20261124Z", Cause.BUILD_DATE),
        ("sng", 'text: "2024-01-01T10:00:00"', 'text: "2026-11-24T10:00:00"', Cause.BUILD_DATE),
        ("strings --all {}", "/build/one-1.0/src/a.c", "/build/reproducible-path/one-1.0/src/a.c", Cause.BUILD_PATH),
        ("readelf --wide --debug-dump=info {}", "GNU C17 12.2.0 -O2", "GNU C17 13.1.0 -O2", Cause.TOOLCHAIN_VERSION),
        ("readelf --wide --notes {}", "  Build ID: 0123456789abcdef", "  Build ID: fedcba9876543210", Cause.BUILD_ID),
        ("strings --all {}", "user@buildd-1", "user@buildd-77", Cause.HOSTNAME_OR_USER),
        ("sqlite3 {} .dump", "INSERT INTO a VALUES('LANG=C');", "INSERT INTO a VALUES('LANG=C.UTF-8');", Cause.LOCALE),
    ],
)  # fmt: skip
def test_what_a_changed_line_says(name: str, old: str, new: str, cause: Cause) -> None:
    """A changed line that only a date, a path, a version or a user tells apart names that cause, and where."""
    found = infer(report(node("data.tar", None, node("./usr/bin/a", None, node(name, lines((old, new)))))))
    assert [each.cause for each in found.causes] == [cause]
    assert found.causes[0].path == f"data.tar/./usr/bin/a/{name}"
    assert "diffoscope's report" in found.causes[0].detail
    assert found.rule == RULE


def test_a_dump_of_bytes_is_read_as_strings() -> None:
    """A date that a dump breaks over two lines, and that is longer on one side, is put together again."""
    old, new = (
        b"\1\2\3hello there\0built on Jan 1 2024\0end of it\0",
        b"\1\2\3hello there\0built on November 24 2026\0end of it\0",
    )
    diff = "@@ -1 +1 @@\n" + dump(old, "-") + dump(new, "+")
    found = infer(report(node("./a", None, node("readelf --wide --hex-dump=.rodata {}", diff))))
    assert [each.cause for each in found.causes] == [Cause.BUILD_DATE]


def test_sections_of_one_purpose_name_their_cause() -> None:
    """.comment holds compilers, the build-id's note identifiers, whatever they look like."""
    comment = node("readelf --wide --string-dump=.comment {}", lines(("  [     0]  foo 1", "  [     0]  bar")))
    link = node("readelf --wide --hex-dump=.gnu_debuglink {}", lines(("  0x00000000 61", "  0x00000000 62")))
    assert [each.cause for each in infer(report(comment, link)).causes] == [Cause.TOOLCHAIN_VERSION, Cause.BUILD_ID]


def test_another_order_is_named() -> None:
    """The same lines in another order, or diffoscope's remark that nothing else differs."""
    moved = node("manifest", "@@ -1,3 +1,3 @@\n-a\n b\n c\n+a\n-d\n+e\n+d\n-e\n")
    said = node("list.txt", None, comments=["Ordering differences only"])
    assert {each.cause for each in infer(report(moved, said)).causes} == {Cause.FILE_ORDER}


def test_documentation_that_nothing_explains_is_named_so() -> None:
    """A page of the manual that changed."""
    page = node("./usr/share/doc/a/README", lines(("one", "two")))
    assert [each.cause for each in infer(report(node("data.tar", None, page))).causes] == [Cause.DOCUMENTATION]


@pytest.mark.parametrize(
    "name",
    [
        "objdump --line-numbers --disassemble --section=.text {}",
        "file list",
        "readelf --wide --symbols {}",
        "zipinfo {}",
    ],
)
def test_code_and_lists_of_members_are_left_to_our_own_readers(name: str) -> None:
    """What diffoscope shows of code explains nothing, whatever it looks like."""
    assert infer(report(node(name, lines(("2024-01-01", "2026-11-24"))))).causes == ()


def test_similar_is_not_explained() -> None:
    """A number beside a date is no date; a line of which more changed is not explained by its date."""
    assert infer(report(node("strings {}", lines(("limit 5 on 2024-01-01", "limit 6 on 2026-11-24"))))).causes == ()
    assert infer(report(node("strings {}", "@@ -1 +1,2 @@\n-2024-01-01\n+2026-11-24\n+more\n"))).causes == ()


def test_nothing_grave_can_be_inferred() -> None:
    """No cause of the security-relevant ones, and none of no answer, is among those that may be inferred."""
    assert not any(cause.is_security_relevant for cause in INFERABLE)
    assert list(Cause).index(Cause.NO_REFERENCE) > max(list(Cause).index(cause) for cause in INFERABLE)


def test_places_are_bounded_and_counted() -> None:
    """More places than are kept are counted, and the same report gives the same answer."""
    data = report(*(node(f"./{n}", lines(("2024-01-01", "2026-11-24"))) for n in range(PLACES + 7)))
    found = infer(data)
    assert (len(found.causes), found.omitted) == (PLACES, 7)
    assert infer(data) == found == infer_under(data, RULE)
    assert infer_under(data, "diffoscope-json/2") is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "expected version 1"),
        (b"{}", "expected version 1"),
        (report(**{"diffoscope-json-version": 2}), "expected version 1"),
        (report()[:-2], "not acceptable JSON"),
        (report().replace(b'"source2"', b'"source1"'), "duplicate key"),
        (report(node("a", lines(("a", "b")), surprise=1)), "nothing unknown"),
        (report({"source1": "a"}), "nothing unknown"),
        (report(node("a", unified_diff=5)), "wrong type"),
        (report(node("a", comments="text")), "wrong type"),
        (report(node("a", comments=["x"] * 1001)), "wrong type or too many"),
        (report(node("a", source2=None)), "wrong type"),
        (report(node("a", details={})), "wrong type"),
        (report("text"), "nothing unknown"),  # type: ignore[arg-type]
        (b" " * (SIZE_LIMIT_BYTES + 1), "at most 16777216 are read"),
        (b"[" * 900_000 + b"]" * 900_000, "not acceptable JSON"),
        (b'{"details":[' + b"1," * 1_000_001 + b"1]}", "parts; at most 1000000"),
        (report(*[node("a")] * 50_001), "more than 50000 differences"),
        (b'{"diffoscope-json-version": NaN}', "not acceptable JSON"),
        (b"\xff\xfe", "not acceptable JSON"),
    ],
)
def test_what_is_no_report_is_refused(data: bytes, words: str) -> None:
    """Another version, unknown and duplicate members, wrong types, and too much of anything."""
    with pytest.raises(HostileInput, match=words):
        infer(data)


def test_a_deep_report_is_refused() -> None:
    """Containers within containers within bounds of JSON, beyond ours."""
    deep = node("a")
    for _ in range(70):
        deep = node("a", None, deep)
    with pytest.raises(HostileInput, match="or 64 levels"):
        parse_report(report(deep))


def test_names_are_made_safe_to_print() -> None:
    """Names come from hostile archives: no control characters, no length without bound."""
    found = infer(report(node("\x1b[2J\n" + "x" * 5000, lines(("2024-01-01", "2026-11-24")))))
    assert found.causes[0].path.isprintable()
    assert len(found.causes[0].path) <= 400


def test_a_flood_of_lines_ends_in_time() -> None:
    """Only so many lines are looked at."""
    pair = ("x" * 2000 + " 2024-01-01", "x" * 2000 + " 2026-11-24")
    flood = report(*(node(f"n{n}", lines(*[pair] * 100)) for n in range(30)))
    assert infer(flood).causes


def test_our_own_findings_stay(tmp_path: Path) -> None:
    """Real diffoscope on a package whose data file changed: verdict and causes are ours, the date is its word."""
    old = sample().with_file("./usr/bin/tool", b"\0\1\2built on 2024-01-01 by me\0\7").write(tmp_path / "a.deb")
    new = sample().with_file("./usr/bin/tool", b"\0\1\2built on 2026-11-24 by me\0\5").write(tmp_path / "b.deb")
    found = explain(old, new).comparison
    assert (found.verdict, found.causes[0]) == (Verdict.DIFFERENT, Cause.PAYLOAD_CHANGED)
    assert Cause.BUILD_DATE not in found.causes
    assert Cause.BUILD_DATE in found.inferred_causes
    assert parse(render(found), ArtifactComparison) == found


def test_a_killed_diffoscope_says_nothing(tmp_path: Path) -> None:
    """No whole report, no inference, and a note that says so."""
    old = sample().write(tmp_path / "a.deb")
    new = sample().with_file("./usr/bin/tool", b"#!/bin/sh\necho two\n").write(tmp_path / "b.deb")
    found = explain(old, new, report_bounds=ReportBounds(timeout_s=0.05)).comparison
    assert found.inference is None
    assert found.report_notes
    assert b'"inference"' not in render(found)


def test_a_real_program_with_a_date(tmp_path: Path) -> None:
    """A compiled-in date of another length: ours says payload-changed for the code, diffoscope's section says why."""
    source = tmp_path / "a.c"
    source.write_text('#include <stdio.h>\nint main(void){puts("built on " D);puts("and so on and on");return 0;}\n')
    for name, date in (("a", "Jan 1 2024"), ("b", "November 24 2026")):
        subprocess.run(["gcc", "-O1", f'-DD="{date}"', "-s", "-o", tmp_path / name, source], check=True)
    found = explain(tmp_path / "a", tmp_path / "b").comparison
    assert Cause.PAYLOAD_CHANGED in found.causes
    assert Cause.BUILD_DATE in (*found.causes, *found.inferred_causes)
