"""The Celery tasks of `workers.tasks` with the planner and the builder of `short`: what tests have Celery run."""

from __future__ import annotations

from dataclasses import replace

from rebuilder.config import Settings, load_settings
from rebuilder.model.job import JobKind
from tests.workers import short
from workers.serving import Post, do_nothing
from workers.tasks import make_tasks, open_post

_SHORT = {JobKind.PLAN: short.plan, JobKind.REBUILD: short.rebuild}


def opening(kind: JobKind, settings: Settings) -> Post:
    """Open a role as a real worker does, with short jobs that a test may hold."""
    post = open_post(kind, settings)
    return replace(post, step=short.held(kind, _SHORT.get(kind, post.step)), ready=do_nothing)


app = make_tasks(load_settings(), opening)
