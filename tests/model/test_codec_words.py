"""Words of closed sets survive the way through JSON, and others do not get in."""

from __future__ import annotations

import pytest

from rebuilder.errors import HostileInput
from rebuilder.model.codec import parse, render
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import Limits
from rebuilder.model.verdict import Control, Verdict


def _comparison() -> ArtifactComparison:
    return ArtifactComparison(
        filename="a.deb", verdict=Verdict.UNDECIDED, causes=(), reference=None, rebuilt=None, control=Control.NOT_RUN
    )


def test_a_closed_set_comes_back_as_itself() -> None:
    """A verdict that was read is a Verdict, not a string that looks like one."""
    again = parse(render(_comparison()), ArtifactComparison)
    assert again == _comparison()
    assert again.verdict is Verdict.UNDECIDED
    assert again.control is Control.NOT_RUN


def test_an_unknown_word_is_refused() -> None:
    """A forged verdict that is none of ours never becomes a value."""
    with pytest.raises(HostileInput, match="'splendid' is not a valid Verdict"):
        parse(render(_comparison()).replace(b"undecided", b"splendid"), ArtifactComparison)


@pytest.mark.parametrize(
    "document", [b"[]", b'"x"', b"7", b"null", b"true", b"1e999", b"[[]]", b"{}", b'{"release":[]}']
)
def test_a_document_that_is_no_object_is_refused(document: bytes) -> None:
    """Whatever type stands where a dossier should be: hostile input, never a fault of ours."""
    with pytest.raises(HostileInput, match="Dossier"):
        parse(document, Dossier)


@pytest.mark.parametrize("wrong", ["[]", '"x"', "7", "null", "{}", "1e999", "[[[]]]", "true"])
@pytest.mark.parametrize("field", ["reference", "causes", "verdict", "findings", "filename"])
def test_a_field_of_another_type_is_refused_or_is_a_value(field: str, wrong: str) -> None:
    """Each field with each kind of JSON value: a noun or hostile input, and nothing else is raised."""
    document = {"filename": '"a"', "verdict": '"undecided"', "causes": "[]", "reference": "null", "rebuilt": "null"}
    text = ",".join(f'"{key}":{value}' for key, value in {**document, field: wrong}.items())
    try:
        parsed = parse(f'{{{text},"control":"not-run"}}'.encode(), ArtifactComparison)
    except HostileInput:
        return
    assert parse(render(parsed), ArtifactComparison) == parsed


@pytest.mark.parametrize("wrong", ["9007199254740992", "1e999", '"1"', "true", "[]"])
def test_a_number_that_is_none_of_rfc_8785_is_refused(wrong: str) -> None:
    """Beyond 2^53 - 1, or no number: what two programs might read differently is read by none."""
    with pytest.raises(HostileInput, match="Limits"):
        parse(render(Limits()).replace(b'"pids":', f'"pids":{wrong},"was":'.encode(), 1), Limits)


def test_a_lone_surrogate_is_no_text() -> None:
    """It could not be written again."""
    with pytest.raises(HostileInput):
        parse(render(_comparison()).replace(b"a.deb", b"\\ud800"), ArtifactComparison)
