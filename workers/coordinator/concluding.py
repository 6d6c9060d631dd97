"""From what is known of a case to a signing task: the dossier, its context, and every evidence file as a blob."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from rebuilder.attest.context import Builder, Context, make_context, with_others
from rebuilder.attest.evidence_files import attached_files, list_documents
from rebuilder.attest.keys import PublicKey
from rebuilder.errors import RebuilderError, WorldError
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.stages.attempt import Attempt
from rebuilder.stages.attesting import stage
from rebuilder.stages.concluding import conclude
from rebuilder.world.files import storage_errors
from workers.coordinator.bureau import Bureau
from workers.documents import NamedBlob, SignTask, Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """A dossier that waits for its signature."""

    task: SignTask
    input: Digest
    """Blob of the task."""
    dossier: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Who tried, which time, where nothing was run in the end."""

    by: PublicKey
    ordinal: int


def stopped_by(stopped: Stopped) -> RebuilderError:
    """Give the error that a report told of, for the dossier's cause and reason."""
    error = WorldError(stopped.reason)
    error.cause = stopped.cause
    return error


def sign_task(
    attempt: Attempt, bureau: Bureau, *, tried: Tried | None, comparison: Digest | None, quorum: int
) -> Concluded:
    """Conclude, and stage what will be published. A case in which nothing was run is named by who `tried`."""
    dossier = conclude(attempt, bureau.now())
    state = bureau.settings.state
    with storage_errors(state):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        staging = tempfile.TemporaryDirectory(prefix="conclude-", dir=state)
    with staging as name:
        staged = Path(name)
        withhold = bureau.settings.policy.withhold_artifacts
        stage(dossier, attempt.records, staged, blobs=bureau.blobs, withhold=withhold)
        documents = list_documents(staged)
        for document in documents:
            bureau.blobs.put_file(staged / document.path)
    if dossier.rebuild is not None:
        tried = Tried(by=bureau.key(dossier.rebuild.builder), ordinal=dossier.rebuild.ordinal)
    if tried is None:
        raise ValueError("nothing was run, and nobody is said to have tried")
    context = make_context(
        bureau.attester,
        tried.by,
        ordinal=tried.ordinal,
        accepts_equivalent=bureau.settings.policy.accept_equivalent,
        documents=documents,
    )
    attached = set(attached_files(dossier))
    task = SignTask(
        dossier=dossier,
        context=_with_everybody(context, dossier, bureau),
        attached=tuple(
            NamedBlob(path=document.path, digest=document.digest)
            for document in context.documents
            if document.path in attached
        ),
        comparison=comparison,
        quorum=quorum,
    )
    return Concluded(task=task, input=bureau.write(task), dossier=bureau.write(dossier))


def _with_everybody(context: Context, dossier: Dossier, bureau: Bureau) -> Context:
    """Name the other builders, the fault domains of all, and who ran the control."""
    if dossier.rebuild is None:
        return context
    others = [bureau.member(run.builder) for run in dossier.others]
    named = tuple(Builder(pem=each.pem, fault_domain=each.fault_domain) for each in others)
    context = with_others(context, named, fault_domain=bureau.member(dossier.rebuild.builder).fault_domain)
    control = dossier.control
    if control is None or control.builder == dossier.rebuild.builder:
        return context
    return replace(context, control=bureau.key(control.builder).pem)
