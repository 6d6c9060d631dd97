"""Publishing: documents under `results/`, and the pages, badges, lists and feeds that are made from them."""

from rebuilder.publish.policy import policy_for
from rebuilder.publish.render import render_all, render_result
from rebuilder.publish.staging import Document
from rebuilder.publish.tree import Publication, publish

__all__ = ["Document", "Publication", "policy_for", "publish", "render_all", "render_result"]
