from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison, Inference, InferredCause
from rebuilder.model.dossier import Variation
from rebuilder.model.plan import Fidelity, Pulled
from rebuilder.model.verdict import Control, Verdict
from rebuilder.publish import words
from rebuilder.publish.policy import DOCUMENT_POLICY, PAGE_POLICY, REPORT_POLICY, policy_for
from rebuilder.publish.tree import publish
from rebuilder.store.blobs import LocalBlobs
from tests.publish import factory
from tests.publish.look import Page, pages


def _result_page(root: Path, name: str, version: str) -> Page:
    (directory,) = (root / "deb" / name / version / "amd64").glob("*-0")
    return Page(directory / "index.html")


def test_every_page_has_a_strict_policy_before_anything_else(published: Path) -> None:
    """Nothing inline, nothing from elsewhere; only the frame of a diffoscope report may use inline styles."""
    assert len(pages(published)) > 15
    for path in pages(published):
        page = Page(path)
        metas = [attributes for attributes in page.all("meta") if "http-equiv" in attributes]
        expected = REPORT_POLICY if "reports" in path.parts else PAGE_POLICY
        assert [meta["content"] for meta in metas] == [expected]
        assert policy_for(path.relative_to(published).as_posix()) == expected
        tags = [tag for tag, _ in page.elements]
        assert tags.index("meta") < tags.index("link")
        assert "script-src 'unsafe" not in expected


def test_pages_hold_nothing_that_acts(published: Path) -> None:
    """No inline script, style or handler; the only script is ours; no address leaves the results."""
    for path in pages(published):
        page = Page(path)
        for tag, attributes in page.elements:
            assert tag not in {"style", "object", "embed", "base"}, path
            assert not [name for name in attributes if name.startswith("on") or name == "style"], path
            if tag == "script":
                assert attributes["src"].endswith("static/search.js"), path
            for name in ("href", "src"):
                assert not urlsplit(attributes.get(name, "")).scheme, path
                assert not urlsplit(attributes.get(name, "")).netloc, path


def test_every_link_leads_to_something(published: Path) -> None:
    """Addresses with encoded names included; fragments name an element of the page."""
    for path in pages(published):
        page = Page(path)
        identifiers = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
        for tag, attributes in page.elements:
            for name in ("href", "src"):
                if name not in attributes:
                    continue
                address = urlsplit(attributes[name])
                if address.path:
                    assert (path.parent / unquote(address.path)).is_file(), (path, tag, attributes[name])
                else:
                    assert address.fragment in identifiers, (path, attributes[name])


def test_pages_are_built_for_everybody(published: Path) -> None:
    """Language, one heading of the first rank, landmarks, a skip link, a title, labels, unique identifiers."""
    for path in pages(published):
        page = Page(path)
        tags = [tag for tag, _ in page.elements]
        assert next(page.all("html"))["lang"] == "en"
        assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
        assert {"header", "main", "footer", "nav"} <= set(tags)
        identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(identifiers) == len(set(identifiers)), path
        assert all("alt" in attributes for attributes in page.all("img"))
        assert all("title" in attributes for attributes in page.all("iframe"))
        for _, attributes in page.elements:
            assert attributes.get("aria-labelledby", identifiers and identifiers[0]) in identifiers, path


def test_the_diffoscope_report_is_shown_without_power(published: Path) -> None:
    """The frame is sandboxed with no permission, its content is escaped once, and the original is only downloaded."""
    (path,) = (published / "deb/libssh2/1.11.1-2").glob("*/*/reports/*/index.html")
    page = Page(path)
    (frame,) = page.all("iframe")
    assert frame["sandbox"] == ""
    assert frame["srcdoc"].encode() == factory.REPORT
    assert "src" not in frame
    for other in pages(published):
        for link in Page(other).all("a"):
            if link.get("href", "").endswith("diffoscope.html"):
                assert "download" in link
    assert policy_for("deb/x/1/amd64/y/reports/z/diffoscope.html") == DOCUMENT_POLICY
    assert DOCUMENT_POLICY.endswith("sandbox")


def test_hostile_text_is_only_text(published: Path) -> None:
    """Markup is shown, direction marks are numbers, template syntax is not evaluated, pages stay small."""
    found = [path for path in pages(published) if "%3Cscript" in str(path)]
    assert len(found) == 3
    for path in found:
        text = path.read_text()
        assert "<script>document" not in text
        assert not set("\u202e\u2066\u200b") & set(text)
        assert path.stat().st_size < 2_000_000
    result = max(found, key=lambda path: len(path.parts) - 10 * ("reports" in path.parts))
    page = Page(result)
    assert "<script>document.title='owned'</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "⟨U+202E⟩" in page.text
    assert "123,456 not recorded, for there were too many" in page.text


def test_many_findings_are_bounded_and_counted(published: Path) -> None:
    """5,000 findings: forty of each cause are shown, the rest is counted and lies in dossier.json."""
    (path,) = (
        path for path in published.rglob("index.html") if "%3Cscript" in str(path) and path.parent.name[-2:] == "-0"
    )
    page = Page(path)
    assert page.text.count("210 more in dossier.json") == 20
    assert "128,456 findings" in page.text


def test_a_result_page_answers_what_an_auditor_asks(published: Path) -> None:
    """Verdict, causes, digests of both sides, control, environment, evidence, doubts, and how to check."""
    text = _result_page(published, "libssh2", "1.11.1-2").text
    dossier = factory.dossier(Verdict.DIFFERENT, name="libssh2", version="1.11.1-2", fidelity=Fidelity.EXACT, day=1)
    artifact = dossier.comparison.artifacts[0]
    assert artifact.reference
    assert artifact.rebuilt
    for expected in (
        "Look at this first.",
        "security-relevant",
        str(artifact.reference.digest),
        str(artifact.rebuilt.digest),
        "A second rebuild, in a freshly prepared environment, gave the same bytes",
        "one builder\u2019s word",
        factory.BUILDER,
        "Installed-Build-Depends of",
        "openpgp-inrelease",
        "revocation of the archive key",
        "rebuilder check --key rebuilder.pem results/deb/libssh2/1.11.1-2/amd64/",
        "rebuilder replay results/deb/libssh2/",
        "signed by 60303ae22b998",
        "diffoscope had no decompiler at hand.",
        "The build date is compiled in.",
        "Building C object",
    ):
        assert expected in text, expected


def test_findings_come_with_the_security_relevant_first(published: Path) -> None:
    """An auditor reads payload-changed before build-id."""
    text = _result_page(published, "libssh2", "1.11.1-2").text
    findings = text[text.index("2 findings") :]
    assert findings.index("payload-changed") < findings.index("build-id")


def test_stock_client_commands_are_offered_for_reproduced_artifacts_only(published: Path) -> None:
    """in-toto-verify is named where links exist; on a difference one artifact of two has them."""
    both = _result_page(published, "cjson", "1.7.17-1").text
    one = _result_page(published, "libssh2", "1.11.1-2").text
    none = _result_page(published, "munge", "0.5.16-1").text
    assert [text.count("in-toto-verify --layout") for text in (both, one, none)] == [2, 1, 0]
    assert "published for reproduced artifacts only" in none


def test_an_undecided_page_says_why(published: Path) -> None:
    """The reason is the first thing under the word, and a build that failed opens its log."""
    page = _result_page(published, "munge", "0.5.16-1")
    assert "Undecided dpkg-buildpackage ended with exit status 2" in page.text.replace("undecided", "Undecided")
    assert any("open" in attributes for attributes in page.all("details"))


def test_a_refused_release_says_what_was_refused(published: Path) -> None:
    """Nothing was planned or run; the refused evidence comes first."""
    text = _result_page(published, "evil", "6.6-6").text
    assert "Inputs: refused." in text
    assert "Rebuild: none." in text
    assert "Nothing was planned" in text
    assert text.index("refused openpgp-inrelease") < text.index("not checked apt-index")


def test_a_page_says_nothing_of_what_did_not_happen(tmp_path: Path, blobs: LocalBlobs) -> None:
    """A source that is not there was not refused; where nothing was built nothing was compared or controlled."""
    refused = factory.refused_dossier()
    gone = replace(refused, trust=replace(refused.trust, cause=Cause.SOURCE_UNAVAILABLE, reason="No such source."))
    text = Page(publish(factory.publication(gone), tmp_path / "results", blobs) / "index.html").text
    facts = re.sub(r"(Inputs|Control rebuild|Rebuilt) ?", r"\1 ", text)
    assert "Inputs not available" in facts
    assert "Inputs: not available. No such source." in text
    assert "Control rebuild none" in facts
    assert "not compared: nothing was built to compare with" in text
    assert "Rebuilt nothing was built" in facts
    for untrue in ("Inputs refused", "gave no such file", "compared under rule", "not needed"):
        assert untrue not in facts, untrue


def test_a_failed_variation_run_is_no_answer(tmp_path: Path, blobs: LocalBlobs) -> None:
    """It is not said to change nothing."""
    failed = Variation(factor="clock", changed=(), findings=(), failed="the run failed: <dpkg-source> ended with 22")
    dossier = replace(factory.dossier(), variations=(failed, Variation(factor="path", changed=(), findings=())))
    text = Page(publish(factory.publication(dossier), tmp_path / "results", blobs) / "index.html").text
    assert "clock: no answer: the run failed: <dpkg-source> ended with 22" in text
    assert text.count("changes nothing") == 1


def test_inferred_causes_stand_apart(tmp_path: Path, blobs: LocalBlobs) -> None:
    """What diffoscope's report adds is shown as that, and never among our own causes."""
    dossier = factory.dossier(Verdict.DIFFERENT)
    first, *others = dossier.comparison.artifacts
    place = InferredCause(cause=Cause.LOCALE, path="/usr/share/x", detail="A language.")
    first = replace(first, inference=Inference(rule="diffoscope-json/1", causes=(place,)))
    dossier = replace(dossier, comparison=replace(dossier.comparison, artifacts=(first, *others)))
    text = Page(publish(factory.publication(dossier), tmp_path / "results", blobs) / "index.html").text
    assert "Inferred from diffoscope\u2019s report, and no finding of ours: locale" in text
    assert text.count("locale") == 1


def test_the_banner_names_the_files_that_are_nondeterministic() -> None:
    """A release whose other files came out the same twice is not called nondeterministic as a whole."""
    dossier = factory.dossier(Verdict.DIFFERENT)
    first, second = dossier.comparison.artifacts
    unlike = replace(second, verdict=Verdict.DIFFERENT, control=Control.NONDETERMINISTIC)
    mixed = replace(dossier, comparison=replace(dossier.comparison, artifacts=(first, unlike)))
    assert words.reading(mixed) == (
        f"Two rebuilds of the same plan differ in {second.filename}: the build is nondeterministic there. "
        f"The difference is deterministic in {first.filename}."
    )
    only = replace(dossier, comparison=replace(dossier.comparison, artifacts=(unlike,)))
    assert words.reading(only).endswith("the build itself is nondeterministic.")


def test_an_older_result_points_to_the_newer_one(published: Path) -> None:
    """A superseded page says so; the newest does not."""
    (old,) = (published / "deb/cjson/1.7.18-3.1/amd64").glob("*-0/index.html")
    (new,) = (published / "deb/cjson/1.7.18-3.1/amd64").glob("*-1/index.html")
    links = [link["href"] for link in Page(old).all("a")]
    assert f"../{new.parent.name}/index.html" in links
    assert "newer result" in Page(old).text
    assert "newer result" not in Page(new).text


def test_a_package_page_tells_its_history(published: Path) -> None:
    """Versions with their verdicts, a regression named as one, earlier results kept."""
    text = Page(published / "deb/libssh2/index.html").text
    assert "2 versions: 1 different, 1 reproduced" in text
    assert "Regression: before, 1.11.1-1 was reproduced" in text
    assert "1 earlier result of this version" in Page(published / "deb/cjson/index.html").text


def test_the_index_counts_alarms_and_names_regressions(published: Path) -> None:
    """Counts by verdict, the alarming release first, the time of the newest conclusion and never now."""
    page = Page(published / "index.html")
    assert "9 releases, as of 2026-11-21 09:30 UTC" in page.text
    assert re.search(r"3 ?different.* 2 ?undecided.* 1 ?equivalent.* 3 ?reproduced", page.text)
    assert re.search(r"Look at these first.*libssh2 1\.11\.1-2.*Regressions.*1\.11\.1-1 was reproduced", page.text)
    rows = [attributes for attributes in page.all("tr") if "data-verdict" in attributes]
    assert len(rows) == 9
    assert {row["data-suite"] for row in rows} >= {"trixie"}
    assert any("build-id" in row["data-causes"].split() for row in rows)


def test_a_log_that_is_no_log_is_said_to_be_none(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Bytes that zstd refuses give a note, not an error."""
    publication = factory.publication(factory.dossier())
    broken = replace(publication, documents={**publication.documents, "logs/build.log.zst": b"not zstd"})
    directory = publish(broken, tmp_path / "results", blobs)
    assert "(the log cannot be decompressed)" in (directory / "index.html").read_text()


def test_a_pulled_image_is_not_said_to_be_bootstrapped(tmp_path: Path, blobs: LocalBlobs) -> None:
    """The page names the reference instead of an installer."""
    dossier = factory.dossier()
    assert dossier.plan is not None
    reference = f"127.0.0.1:5000/base@{factory.digest('manifest')}"
    pulled = Pulled(reference=reference, image=dossier.plan.environment.image)
    lock = replace(factory.lock(), installer="", pulled=pulled)
    directory = publish(factory.publication(replace(dossier, lock=lock)), tmp_path / "results", blobs)
    page = (directory / "index.html").read_text()
    assert f"<dt>Pulled</dt><dd><code>{reference}</code>, not bootstrapped: debian trixie" in page
    assert "<dt>Bootstrapped</dt>" not in page


@pytest.mark.parametrize(
    ("fidelity", "control", "sentence"),
    [
        (Fidelity.EXACT, Control.DETERMINISTIC, "Nothing harmless is known"),
        (Fidelity.INFERRED, Control.DETERMINISTIC, "The environment was inferred"),
        (Fidelity.EXACT, Control.NONDETERMINISTIC, "the build itself is nondeterministic"),
        (Fidelity.EXACT, Control.NOT_RUN, "has not been confirmed by a control rebuild"),
    ],
)
def test_a_difference_is_read_as_its_control_and_environment_allow(
    fidelity: Fidelity, control: Control, sentence: str
) -> None:
    """Only a deterministic, security-relevant change in an exact environment alarms."""
    dossier = factory.dossier(Verdict.DIFFERENT, fidelity=fidelity)

    def answered(item: ArtifactComparison) -> ArtifactComparison:
        return replace(item, control=control) if item.verdict is Verdict.DIFFERENT else item

    artifacts = tuple(answered(item) for item in dossier.comparison.artifacts)
    assert sentence in words.reading(replace(dossier, comparison=replace(dossier.comparison, artifacts=artifacts)))
