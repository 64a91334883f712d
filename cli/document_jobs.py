"""What `ingest` and `ask` share: how far the job is, what cannot be read, and what became of each path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from memos.cli import output
from memos.documents import paths, readers
from memos.documents.ingest import DocumentReport, IngestReport, Progress
from memos.documents.sections import printable
from memos.errors import DocumentError

Watch = Callable[[Progress], None]


@contextmanager
def progress_shown() -> Generator[Watch | None, None, None]:
    """A watcher for the job, or None where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=None)

        def watch(progress: Progress) -> None:
            name = f"{progress.documents_done + 1}/{progress.documents_total} {Path(progress.source).name}"
            bar.update(task, description=escape(name), completed=progress.characters, total=progress.total_characters)

        yield watch


def find_unreadable(named: Sequence[Path]) -> tuple[DocumentReport, ...]:
    """What is wrong with each file when nothing can be read from any; () as soon as one begins to yield text.

    Asked before a home is created, so that a mistyped name leaves nothing behind.
    """
    failed: list[DocumentReport] = []
    for candidate in paths.expand(named):
        try:
            if candidate.error is not None:
                raise candidate.error
            next(readers.read(candidate.path), None)
        except DocumentError as error:
            failed.append(DocumentReport(printable(candidate.path), "failed", error=str(error)))
        else:
            return ()
    return tuple(failed)


def explain_failures(named: Sequence[Path], report: IngestReport) -> bool:
    """Say on stderr what failed; True when a path that was named gave no document at all."""
    barren = [path for path in named if _explain(printable(path.absolute()), report)]
    return bool(barren)


def _explain(source: str, report: IngestReport) -> bool:
    inside = f"{source.rstrip('/')}/"
    under = [document for document in report.documents if f"{document.source}/".startswith(inside)]
    failed = [document for document in under if document.status == "failed"]
    if len(failed) == len(under) > 1:
        output.note_error(f"{source}: none of its {len(failed)} files can be read; the first: {failed[0].error}")
        return True
    for document in failed:
        output.note_error(document.error or document.source)
    return len(failed) == len(under)
