"""`memos documents`: the documents of this home, stored once whoever reads them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memos.cli import output, shapes
from memos.cli.session import Flags, is_fresh, load, open_home
from memos.errors import DocumentError

if TYPE_CHECKING:
    from memos.hits import DocumentInfo
    from memos.ports import Library


def list_all(*, as_json: bool) -> None:
    """Every document, with its size."""
    configuration = load(Flags())
    found: list[DocumentInfo] = []
    if not is_fresh(configuration):
        with open_home(configuration) as home:
            found = home.library.list()
    if as_json:
        output.emit_json({"documents": [shapes.document_json(document) for document in found]})
        return
    if not found:
        output.note("There is no document yet; `memos ingest PATH` loads one.")
        return
    header = ("source", "pages", "characters", "passages")
    output.emit_table(header, [_row(document) for document in found])


def show(name: str, *, as_json: bool) -> None:
    """One document's figures."""
    with _document(name) as (_, document):
        fields = shapes.document_json(document)
    if as_json:
        output.emit_json(fields)
        return
    for key, value in fields.items():
        output.emit(f"{key.replace('_', ' ')}: {'' if value is None else value}")


def text(name: str) -> None:
    """The extracted text, exactly as offsets count it: nothing added, not even a last newline."""
    with _document(name) as (library, document):
        for piece in library.text(document):
            output.emit(piece, end="")


def remove(name: str) -> None:
    """Take a document out of the home; the file itself is not touched."""
    with _document(name) as (library, document):
        library.remove(document)
    output.note(f"Removed {document.source} from memory; the file itself was not touched.")


@contextmanager
def _document(name: str) -> Generator[tuple[Library, DocumentInfo], None, None]:
    """The document meant, while the home is open. Raises `DocumentError` when there is none."""
    missing = DocumentError(f"there is no document {name!r}, or more than one; `memos documents list` names them.")
    configuration = load(Flags())
    if is_fresh(configuration):
        raise missing
    with open_home(configuration) as home:
        document = home.library.find(name)
        if document is None:
            raise missing
        yield home.library, document


def _row(document: DocumentInfo) -> tuple[str, str, str, str]:
    pages = "" if document.pages is None else str(document.pages)
    return (document.source, pages, f"{document.characters:,}", str(document.passages))
