"""`ask`: one question about documents, by a scratch agent that is gone afterwards.

The documents stay: they are stored once per home, so the next question about them starts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from memos.build import assemble, make_backend
from memos.citations import Citation, find_citations
from memos.documents.ingest import IngestReport, Progress, ingest
from memos.errors import DocumentError, UsageError
from memos.events import EventOut, UserMessage
from memos.hits import DocumentInfo
from memos.home import Home
from memos.messages import Usage
from memos.settings import Configuration
from memos.turns import last_turn


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said of some documents, and what of it stands there verbatim."""

    answer: str
    model: str
    citations: tuple[Citation, ...]
    usage: Usage
    report: IngestReport
    """How loading the documents went; failed ones did not take part."""

    def to_json(self) -> dict[str, object]:
        return {
            "answer": self.answer,
            "model": self.model,
            "citations": [citation.to_json() for citation in self.citations],
            "usage": asdict(self.usage),
        }


def ask(
    question: str,
    paths: Sequence[Path | str],
    configuration: Configuration,
    *,
    progress: Callable[[Progress], None] | None = None,
    watch: Callable[[EventOut], None] | None = None,
) -> Answer:
    """Load what is not loaded yet, and answer from it.

    Raises `DocumentError` when none of the paths can be read, `BackendError` when the model fails.
    """
    if not question.strip():
        raise UsageError("There is nothing to ask: the question is empty.")
    backend = make_backend(configuration.settings)
    home = Home(configuration)
    try:
        with home.scratch_agent() as memory:

            def attach(document: DocumentInfo) -> None:
                memory.documents.attach(document.source)

            report = ingest(paths, home.library, on_document=attach, progress=progress)
            _require_documents(report)
            home.index.apply_pending()
            parts = assemble(home, memory, backend, (), task="documents")
            turn = last_turn(parts.controller.turn(UserMessage(question)), watch)
            citations = find_citations(turn.reply, turn.tool_calls, memory.documents)
        return Answer(turn.reply, backend.spec, tuple(citations), turn.usage, report)
    finally:
        backend.close()
        home.close()


def _require_documents(report: IngestReport) -> None:
    failed = [document for document in report.documents if document.error]
    if len(failed) == len(report.documents):
        raise DocumentError(str(failed[0].error) if failed else "Nothing to read: name a file or a folder.")
