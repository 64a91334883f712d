"""PDF files to text, page by page, through PDFium.

The text of a page is PDFium's, with three repairs. Newlines become line feeds. PDFium writes U+FFFE where
a line's end split a word, in place of the hyphen and the newline: between letters it is dropped, so
that the word is whole again and can be found; elsewhere (1999-2001) it becomes a hyphen. Glyphs to
which the file gives no character arrive as control characters and become U+FFFD. Pages are joined by
one newline, which belongs to the earlier page.

Refuses to know layout, tables and pictures. PDFium runs in this process: a file made to crash or
exhaust it can do so.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

from memos.documents.sections import Section, problem, reading
from memos.errors import DocumentError

PAGE_LIMIT_CHARACTERS = 2_000_000
"""No page a person can read holds more; beyond it a file is made to exhaust the reader."""
DOCUMENT_LIMIT_CHARACTERS = 50_000_000
"""Fifteen of the longest novels; a few kilobytes of PDF can repeat one page a million times."""

_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD, fpdfview.h
_SECURITY_UNSUPPORTED = 5  # FPDF_ERR_SECURITY
_PDFIUM = threading.Lock()
"""PDFium is not thread-safe, not even between two documents."""

_SPLIT_WORD = re.compile(r"(?<=[^\W\d_])\ufffe(?=[^\W\d_])")
_NAMELESS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\uffff\ud800-\udfff]")


class _TextPage(Protocol):
    def count_chars(self) -> int: ...
    def get_text_range(self, index: int, count: int) -> str: ...
    def close(self) -> None: ...


class _Page(Protocol):
    def get_textpage(self) -> _TextPage: ...
    def close(self) -> None: ...


class _Raw(Protocol):
    def FPDFText_GetTextIndexFromCharIndex(self, text_page: _TextPage, index: int) -> int: ...  # noqa: N802


class _Document(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> _Page: ...
    def close(self) -> None: ...


def read(path: Path) -> Iterator[Section]:
    """One section per page. Raises `DocumentError` for a file that is locked, damaged or without text."""
    document, page_count = _open(path)
    characters, blank = 0, True
    try:
        for number in range(1, page_count + 1):
            text = _page_text(path, document, number)
            characters += len(text)
            if characters > DOCUMENT_LIMIT_CHARACTERS:
                raise problem(path, f"holds more than {DOCUMENT_LIMIT_CHARACTERS:,} characters; split it.")
            blank = blank and not text.strip()
            yield Section(text if number == page_count else text + "\n", number, page_count)
        if blank:
            raise problem(
                path, "has no text layer, only pictures or blank pages; run text recognition (OCR) on it first."
            )
    finally:
        with _PDFIUM:
            document.close()


def clean(text: str) -> str:
    """PDFium's text of a page as extracted text, repaired as the module says."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _NAMELESS.sub("\ufffd", _SPLIT_WORD.sub("", text).replace("\ufffe", "-"))


def _open(path: Path) -> tuple[_Document, int]:
    import pypdfium2  # type: ignore[import-untyped]

    with _PDFIUM, reading(path):
        # PDFium names the cause of the last failure that had one: without a fresh, known one, a file
        # that fails without a cause would inherit "password" from the file before.
        with suppress(pypdfium2.PdfiumError):
            pypdfium2.PdfDocument(b"no PDF")
        try:
            document = cast("_Document", pypdfium2.PdfDocument(path))
        except pypdfium2.PdfiumError as error:
            raise _refused(path, getattr(error, "err_code", None)) from None
        page_count = len(document)
        if page_count < 1:
            document.close()
            raise _refused(path, None)
    return document, page_count


def _refused(path: Path, code: int | None) -> DocumentError:
    if code == _PASSWORD_NEEDED:
        return problem(path, "is protected by a password; save a copy without one and ingest that.")
    if code == _SECURITY_UNSUPPORTED:
        return problem(path, "is protected in a way that cannot be opened; save an unprotected copy and ingest that.")
    return problem(path, "is a damaged PDF, or none; repair it or export it anew.")


def _page_text(path: Path, document: _Document, number: int) -> str:
    import pypdfium2

    with _PDFIUM:
        try:
            page = document[number - 1]
            try:
                return clean(_raw_text(path, page, number))
            finally:
                page.close()
        except pypdfium2.PdfiumError:
            raise problem(
                path, f"is a damaged PDF (page {number} cannot be read); repair it or export it anew."
            ) from None


def _raw_text(path: Path, page: _Page, number: int) -> str:
    text_page = page.get_textpage()
    try:
        count = text_page.count_chars()
        if count > PAGE_LIMIT_CHARACTERS:
            raise problem(path, f"page {number} holds more than {PAGE_LIMIT_CHARACTERS:,} characters; split it.")
        # pypdfium2 would skip characters that stand for no text at either end by recursion, and a
        # thousand of them end it.
        first = next((index for index in range(count) if _has_text(text_page, index)), count)
        last = next((index for index in range(count - 1, first, -1) if _has_text(text_page, index)), first)
        return text_page.get_text_range(first, last - first + 1) if first < count else ""
    finally:
        text_page.close()


def _has_text(text_page: _TextPage, index: int) -> bool:
    import pypdfium2

    raw = cast("_Raw", pypdfium2.raw)
    return raw.FPDFText_GetTextIndexFromCharIndex(text_page, index) != -1
