"""Files to their extracted text: which reader a file needs.

Extracted text is what all offsets refer to: decoded, byte-order mark dropped, newlines one line feed. This
module knows neither chunks nor stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memos.documents import pdf, plain_text
from memos.documents.sections import Section, problem, reading, require_regular

HEAD_SIZE_BYTES = 1024
MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdown", ".mkd"})


def read(path: Path) -> Iterator[Section]:
    """The extracted text of a file, in order.

    Raises `DocumentError`: at once for a file that is missing, unreadable or empty, on the way for
    one that turns out to be binary, locked, damaged or without text.
    """
    require_regular(path)
    with reading(path), path.open("rb") as file:
        head = file.read(HEAD_SIZE_BYTES)
    if not head:
        raise problem(path, "is empty; there is nothing to read.")
    suffix = path.suffix.lower()
    if suffix == ".pdf" or head.lstrip().startswith(b"%PDF-"):
        return pdf.read(path)
    return plain_text.read(path, markdown=suffix in MARKDOWN_SUFFIXES)
