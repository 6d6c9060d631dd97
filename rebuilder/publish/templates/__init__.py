"""The one template engine: everything is escaped, and a name that a template lacks is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from rebuilder.model import codec
from rebuilder.publish import text, words
from rebuilder.publish.policy import PAGE_POLICY, REPORT_POLICY


def render(template: str, **values: object) -> bytes:
    """Fill a template of this directory."""
    return _ENVIRONMENT.get_template(template).render(values).encode("utf-8")


def load() -> None:
    """Compile every template, which `render` does one by one otherwise."""
    for name in _ENVIRONMENT.list_templates(extensions=["j2"]):
        _ENVIRONMENT.get_template(name)


def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rebuilder.publish", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(
        visible=text.visible,
        visible_lines=text.visible_lines,
        size=text.size,
        moment=text.moment,
        timestamp=codec.render_time,
        meaning=words.meaning,
        control_words=words.control,
        outcome_words=words.outcome,
        standing_words=words.standing,
        cause_words=words.cause,
    )
    environment.globals.update(
        plural=text.plural,
        duration=text.duration,
        page_policy=PAGE_POLICY,
        report_policy=REPORT_POLICY,
    )
    return environment


_ENVIRONMENT = _make_environment()
