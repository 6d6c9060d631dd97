"""The pages in a real headless Chromium: at a phone's width and a desktop's, with hostile text in them.

One page of ours, served beside the results, opens each published page in a frame of the wanted width and writes down
what it measures. Chromium's own console says whether a policy was violated or a script failed.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.publish.look import pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><title>harness</title><body><script>
const addresses = ADDRESSES;
const measure = (address, width) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 844px; border: 0`;
  frame.src = address;
  frame.onload = () => setTimeout(() => {
    const page = frame.contentDocument;
    const search = page.querySelector("#filter input");
    let filtered = null;
    if (search) {
      search.value = "libssh2";
      search.dispatchEvent(new Event("input", {bubbles: true}));
      filtered = page.getElementById("shown").textContent;
    }
    done({
      address, width, title: page.title, owned: page.body.dataset.owned ?? null, filtered,
      overflow: page.documentElement.scrollWidth - width,
      background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    });
    frame.remove();
  }, 60);
  document.body.append(frame);
});
(async () => {
  const found = [];
  for (const address of addresses) for (const width of [390, 1280]) found.push(await measure(address, width));
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class _Handler(SimpleHTTPRequestHandler):
    """Serves the results, hands out the harness, takes what it found."""

    harness = b""
    found: queue.Queue[list[dict[str, object]]] = queue.Queue()

    def do_GET(self) -> None:
        """Answer with the harness or a published file."""
        if self.path != "/harness":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.harness)

    def do_POST(self) -> None:
        """Keep what the harness measured."""
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Stay silent."""


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[str]:
    """Serve the results and the harness on loopback."""
    addresses = [f"/{quote(str(path.relative_to(published)))}" for path in pages(published)]
    _Handler.harness = HARNESS.replace("ADDRESSES", json.dumps(addresses)).encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=published)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def _command(profile: Path, *arguments: str) -> list[str]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "chromium is needed to look at the pages: apt-get install chromium"
    return [program, *FLAGS, f"--user-data-dir={profile}", *arguments]


def _console(stderr: bytes) -> list[str]:
    return [line for line in stderr.decode("utf-8", "replace").splitlines() if "CONSOLE" in line]


Visit = tuple[list[dict[str, object]], list[str]]
"""What the harness measured on every page at both widths, and what the console said."""


def _visit(server: str, profile: Path, *arguments: str) -> Visit:
    """Open the harness and wait until it has reported."""
    stderr = profile / "stderr"
    command = _command(profile, *arguments, "--remote-debugging-port=0", f"{server}/harness")
    with stderr.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            found = _Handler.found.get(timeout=120)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    return found, _console(stderr.read_bytes())


@pytest.fixture(scope="module")
def light(server: str, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Visit every page, preferring light."""
    return _visit(server, tmp_path_factory.mktemp("chromium"), "--blink-settings=preferredColorScheme=1")


def test_nothing_scrolls_sideways(light: Visit, published: Path) -> None:
    """At 390 and at 1280 pixels every page fits, hostile names of 10 kB included."""
    found, _ = light
    assert len(found) == 2 * len(pages(published))
    assert [(page["address"], page["width"], page["overflow"]) for page in found if page["overflow"] != 0] == []


def test_no_script_of_a_stranger_runs(light: Visit) -> None:
    """Hostile strings and a hostile diffoscope report change neither a title nor the page around them."""
    found, _ = light
    assert [page["address"] for page in found if page["owned"] or page["title"] == "owned"] == []


def test_the_console_knows_of_nothing_but_the_stopped_report(
    light: Visit,
) -> None:
    """No violation and no error on any page, but for the report whose script the sandbox stops."""
    _, console = light
    stopped = [line for line in console if "sandboxed" in line or "srcdoc" in line]
    assert stopped, "the report's script was to be stopped and was not"
    assert [line for line in console if line not in stopped] == []


def test_search_filters_the_rows(light: Visit) -> None:
    """Our own script runs under the policy, and finds both versions of one package."""
    found, _ = light
    counts = [page["filtered"] for page in found if page["address"] == "/index.html"]
    assert counts == ["2 of 9 shown"] * 2


def test_pages_follow_the_preferred_scheme(server: str, light: Visit, tmp_path: Path) -> None:
    """Dark for those who prefer dark, light for the others, and no page is left out."""
    dark = _visit(server, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert {page["background"] for page in light[0]} == {"rgb(246, 247, 249)"}
    assert {page["background"] for page in dark[0]} == {"rgb(15, 19, 23)"}


def test_pages_work_without_a_server(published: Path, tmp_path: Path) -> None:
    """Opened from disk, style and script are loaded and nothing is violated."""
    command = _command(tmp_path, "--virtual-time-budget=5000", "--dump-dom", (published / "index.html").as_uri())
    finished = subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert _console(finished.stderr) == []
    assert b"9 of 9 shown" in finished.stdout
