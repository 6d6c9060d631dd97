"""What a result is called: one form, written and read in one place."""

from __future__ import annotations

import pytest

from rebuilder.errors import HostileInput
from rebuilder.model.rebuild_id import ORDINAL_LIMIT, RebuildId, parse, render, subject_of
from tests.publish import factory

_PLANNED = RebuildId(planned=True, subject="0123456789abcdef", builder="9f86d081", ordinal=0)
_UNPLANNED = RebuildId(planned=False, subject="0123456789abcdef", builder="9f86d081", ordinal=ORDINAL_LIMIT - 1)


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        (_PLANNED, "0123456789abcdef-9f86d081-0"),
        (_UNPLANNED, "unplanned-0123456789abcdef-9f86d081-999999999"),
    ],
)
def test_an_id_is_read_as_it_was_written(identifier: RebuildId, text: str) -> None:
    """Both kinds, to the ends of what is allowed; published directories have these names."""
    assert render(identifier) == text
    assert parse(text) == identifier


def test_an_id_is_of_the_plan_or_else_of_the_release() -> None:
    """A dossier without a plan is named by its release, and says so."""
    planned = RebuildId.of(subject_of(factory.dossier()), builder=factory.BUILDER, ordinal=3)
    unplanned = RebuildId.of(subject_of(factory.refused_dossier()), builder=factory.BUILDER, ordinal=3)
    assert (planned.planned, unplanned.planned) == (True, False)
    assert planned.subject != unplanned.subject
    assert parse(render(planned)) == planned
    assert parse(render(unplanned)) == unplanned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0123456789abcdef-9f86d081",
        "0123456789abcdef-9f86d081-00",
        "0123456789abcdef-9f86d081-1000000000",
        "0123456789abcdef-9f86d081-٣",
        "0123456789abcdef-9f86d081-0\n",
        "0123456789ABCDEF-9f86d081-0",
        "planned-0123456789abcdef-9f86d081-0",
        "../0123456789abcdef-9f86d081-0",
    ],
)
def test_what_nobody_writes_is_not_read(text: str) -> None:
    """No second spelling of a number, no other script's digits, nothing around it."""
    with pytest.raises(HostileInput, match="expected a rebuild id `<plan>-<builder>-<ordinal>`"):
        parse(text)


@pytest.mark.parametrize("ordinal", [-1, ORDINAL_LIMIT])
def test_a_number_that_could_not_be_read_again_is_not_written(ordinal: int) -> None:
    """The bound of reading is the bound of writing."""
    with pytest.raises(ValueError, match="an ordinal is not negative and below"):
        RebuildId(planned=True, subject="0123456789abcdef", builder="9f86d081", ordinal=ordinal)
