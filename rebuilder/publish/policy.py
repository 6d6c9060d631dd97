"""Content Security Policies (https://www.w3.org/TR/CSP3/) of what is published.

Pages carry theirs in a `meta` element, so that they hold wherever the files are served or opened from; a server should
send the same as headers. `frame-ancestors` and `sandbox` work in headers only.
"""

from __future__ import annotations

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Our own pages: our style sheet, our script, our pictures, nothing inline and nothing from elsewhere."""

REPORT_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
"""The page around a diffoscope report. The report is in a sandboxed `srcdoc` frame, which inherits this policy: its
inline styles work, its scripts do not run, and it can fetch nothing
from elsewhere."""

DOCUMENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""For a server to send with every document that is not one of our pages, `reports/*/diffoscope.html` above all."""


def policy_for(path: str) -> str:
    """Return the policy to send with a file under `results/`, by its path there."""
    name = path.rpartition("/")[2]
    if name != "index.html" and not (name.startswith("index-") and name.endswith(".html")):
        return DOCUMENT_POLICY
    return REPORT_POLICY if "/reports/" in f"/{path}" else PAGE_POLICY
