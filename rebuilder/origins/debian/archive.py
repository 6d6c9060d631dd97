"""The Debian archive on one machine: views of its suites, releases resolved and authenticated, files by digest."""

from __future__ import annotations

from datetime import datetime

from rebuilder.config import Settings
from rebuilder.errors import UnknownTarget
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.debian import authenticate, indices, parallel, resolve, target
from rebuilder.origins.debian.download import Downloader
from rebuilder.origins.debian.index import IndexFile
from rebuilder.origins.debian.indices import IndexReader
from rebuilder.origins.debian.mirrors import SuitePart, archives_for
from rebuilder.origins.debian.suite import Opener, OpenSuite
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Progress, Silent
from rebuilder.store.blobs import BlobStore
from rebuilder.world.http import Fetcher


class DebianArchive:
    """Everything that is asked of the archive, with one set of settings. A view, once made, is kept."""

    def __init__(
        self,
        settings: Settings,
        fetcher: Fetcher,
        blobs: BlobStore,
        *,
        progress: Progress | None = None,
        architecture: str = "amd64",
    ) -> None:
        self._settings = settings
        self._progress = progress or Silent()
        self._architecture = architecture
        self._opener = Opener(settings, fetcher, blobs)
        self._reader = IndexReader(settings, fetcher, blobs)
        self._blobs = blobs
        self._views: dict[str, SuiteView] = {}
        self.downloader = Downloader(settings, fetcher, blobs)

    def view(self, suite: str, now: datetime) -> SuiteView:
        """Return the verified indices that a user of a suite is offered.

        Raise UnknownTarget for a suite that no archive has, UntrustedError for one that cannot be trusted,
        NetworkFailure when an archive cannot be asked.
        """
        if suite not in self._views:
            self._views[suite] = self._make_view(suite, now)
        return self._views[suite]

    def resolve(self, asked: str, now: datetime) -> Release:
        """Say what was published under a target, and where its source is; see `resolve.resolve`."""
        parsed = target.parse(asked)
        return resolve.resolve(parsed, self.view(parsed.suite, now))

    def authenticate(self, release: Release, now: datetime, *, download: bool = True) -> Trust:
        """Check every byte of a release against what was signed, and let the policy judge; see `authenticate`."""
        desk = authenticate.Desk(
            settings=self._settings, blobs=self._blobs, downloader=self.downloader, progress=self._progress
        )
        return authenticate.authenticate(release, self.view(release.suite, now), desk, download=download)

    def _make_view(self, suite: str, now: datetime) -> SuiteView:
        base, *followers = archives_for(suite, self._settings.debian)
        first = self._opener.open(base, now)
        rest = parallel.each(lambda part: self._open_follower(part, first, now), followers)
        suites = (first, *(opened for opened in rest if opened is not None))
        wanted = [each for opened in suites for each in indices.wanted(opened, self._architecture)]
        self._progress.note(suite, f"reading {len(wanted)} signed indices of {', '.join(o.part.suite for o in suites)}")
        files = parallel.each(self._reader.read, wanted)
        return self._viewed(suite, suites, tuple(zip((each.suite for each in wanted), files, strict=True)))

    def _open_follower(self, part: SuitePart, base: OpenSuite, now: datetime) -> OpenSuite | None:
        try:
            return self._opener.open(part, now)
        except UnknownTarget:
            if base.may_lack_followers:
                return None
            raise

    def _viewed(
        self, suite: str, suites: tuple[OpenSuite, ...], read: tuple[tuple[OpenSuite, IndexFile], ...]
    ) -> SuiteView:
        if not any(index.architecture for _, index in read):
            raise UnknownTarget(
                f"the suite {suite} has no packages for {self._architecture} in the configured components",
                hint="which components the archives' entries name decides",
            )
        return SuiteView(
            suite=suite,
            codename=suites[0].release.codename or suite,
            architecture=self._architecture,
            indices=tuple(index for _, index in read),
            evidence=(
                *(opened.evidence for opened in suites),
                *(indices.evidence(index, opened) for opened, index in read),
            ),
            documents=tuple(dict.fromkeys((*(o.document for o in suites), *(index.document for _, index in read)))),
            date=max(opened.release.date for opened in suites),
        )
