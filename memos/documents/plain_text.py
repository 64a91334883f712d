"""Text files to text: which encoding they are in, and whether they are text at all.

A byte-order mark decides. Without one it is UTF-8 if that decodes, or nearly does; else Windows-1252,
of which Latin-1's letters are a part, unless a byte means nothing there. Any text is taken as it
stands: Markdown, source code, CSV. Refuses to know markup.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memos.documents.sections import Section, problem, reading

BLOCK_SIZE = 1 << 20
"""Bytes, or characters, held at a time."""
CONTROL_LIMIT = 0.05
"""Share of control characters above which even valid UTF-8 is taken for binary; logs hold a few."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(code for code in range(0x20) if code not in b"\t\n\v\f\r\x1b") + b"\x7f"
_NOT_WINDOWS_1252 = b"\x81\x8d\x8f\x90\x9d"
_NOT_TEXT = "is not text, Markdown or PDF but binary data; convert it to one of these first."


@dataclass(slots=True)
class _Survey:
    """What a pass over a whole file found, its text seen as UTF-8."""

    size_bytes: int = 0
    controls: int = 0
    has_nul: bool = False
    is_blank: bool = True

    def add(self, utf8: bytes) -> None:
        self.size_bytes += len(utf8)
        self.controls += len(utf8) - len(utf8.translate(None, _CONTROLS))
        self.has_nul = self.has_nul or b"\0" in utf8
        self.is_blank = self.is_blank and not utf8.strip()


def read(path: Path, *, markdown: bool) -> Iterator[Section]:
    """The text in sections of about a megabyte. Raises `DocumentError` when it is binary or blank."""
    encoding, errors = _detect(path)
    with reading(path), path.open(encoding=encoding, errors=errors, newline=None) as file:
        while text := file.read(BLOCK_SIZE):
            yield Section(text, markdown=markdown)


def _detect(path: Path) -> tuple[str, str]:
    """Encoding and error handling with which the whole file decodes."""
    with reading(path), path.open("rb") as file:
        head = file.read(4)
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    encoding = marked or "utf-8"
    try:
        survey = _survey(path, encoding)
    except UnicodeDecodeError:
        return _detect_broken(path, marked)
    if survey.has_nul or survey.controls > CONTROL_LIMIT * survey.size_bytes:
        raise problem(path, _NOT_TEXT)
    if survey.is_blank:
        raise problem(path, "is empty but for white space; there is nothing to read.")
    return encoding, "strict"


def _survey(path: Path, encoding: str) -> _Survey:
    survey = _Survey()
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    for block in _blocks(path):
        survey.add(decoder.decode(block).encode("utf-8"))
    decoder.decode(b"", final=True)
    return survey


def _detect_broken(path: Path, marked: str | None) -> tuple[str, str]:
    """For a file that is not wholly what its mark, or the lack of one, says."""
    if marked not in (None, "utf-8-sig"):
        raise problem(path, f"is damaged: marked as {marked.upper()}, but it does not decode; save it as UTF-8.")
    survey, valid, invalid, undefined = _Survey(), 0, 0, 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for block in _blocks(path):
        survey.add(block)
        decoded = decoder.decode(block)
        bad = max(0, decoded.count("\ufffd") - block.count(b"\xef\xbf\xbd"))
        invalid += bad
        valid += len(decoded) - len(decoded.encode("ascii", "ignore")) - bad
        undefined += len(block) - len(block.translate(None, _NOT_WINDOWS_1252))
    if survey.has_nul or survey.controls:
        raise problem(path, _NOT_TEXT)
    if marked or valid > invalid:  # a file cut off inside a character, or a few strange bytes in one
        return marked or "utf-8", "replace"
    if undefined:
        raise problem(path, "is text in an encoding that cannot be told; save it as UTF-8.")
    return "cp1252", "strict"


def _blocks(path: Path) -> Iterator[bytes]:
    with reading(path), path.open("rb") as file:
        while block := file.read(BLOCK_SIZE):
            yield block
