"""`memos ingest`: files into an agent's reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from memos.cli import document_jobs, output
from memos.cli.session import Flags, is_fresh, load, open_agent
from memos.cli.stream import EXIT_FAILED
from memos.documents.ingest import DocumentReport, IngestReport


def run(paths: Sequence[Path], flags: Flags, *, as_json: bool) -> None:
    """Load the documents; exits 1 when a path that was named gave none."""
    report = _load(paths, flags)
    if as_json:
        output.emit_json(report.to_json())
    else:
        for document in report.documents:
            if document.status != "failed":
                output.emit(_line(document))
    if document_jobs.explain_failures(paths, report):
        raise typer.Exit(EXIT_FAILED)


def _load(paths: Sequence[Path], flags: Flags) -> IngestReport:
    if is_fresh(load(flags)) and (failed := document_jobs.find_unreadable(paths)):
        return IngestReport(failed, 0.0)
    with open_agent(flags) as agent, document_jobs.progress_shown() as watch:
        return agent.ingest(*paths, progress=watch)


def _line(document: DocumentReport) -> str:
    pages = "" if document.pages is None else f"{document.pages} pages, "
    return f"{document.status}: {document.source} ({pages}{document.passages} passages)"
