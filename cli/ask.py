"""`memos ask`: a question to documents, answered with citations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from memos.cli import document_jobs, output
from memos.cli.send import read_text
from memos.cli.session import Flags, is_fresh, load
from memos.cli.stream import EXIT_FAILED
from memos.documents.ingest import IngestReport

if TYPE_CHECKING:
    from memos.citations import Citation


def run(question: str, paths: Sequence[Path], flags: Flags, *, as_json: bool) -> None:
    """Print the answer, then where it stands; exits 1 when a path that was named could not be read."""
    text = read_text(question)
    configuration = load(flags)
    if is_fresh(configuration) and (failed := document_jobs.find_unreadable(paths)):
        document_jobs.explain_failures(paths, IngestReport(failed, 0.0))
        raise typer.Exit(EXIT_FAILED)
    from memos.ask import ask

    with document_jobs.progress_shown() as watch:
        answer = ask(text, paths, configuration, progress=watch)
    if as_json:
        output.emit_json(answer.to_json())
    else:
        _print(answer.answer, answer.citations)
    if document_jobs.explain_failures(paths, answer.report):
        raise typer.Exit(EXIT_FAILED)


def _print(answer: str, citations: Sequence[Citation]) -> None:
    output.emit(answer)
    if citations:
        output.emit("")
    for number, citation in enumerate(citations, start=1):
        output.emit(f"[{number}] {_place(citation)}")


def _place(citation: Citation) -> str:
    page = "" if citation.page is None else f", page {citation.page}"
    last = citation.line_end - 1
    lines = f"line {last}" if last == citation.line_start else f"lines {citation.line_start}-{last}"
    return f"{citation.source}{page}, {lines}"
