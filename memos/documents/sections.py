"""What every reader yields, and how it says that a file cannot be read.

Knows no file format.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from memos.errors import DocumentError

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Section:
    """A contiguous piece of a document's extracted text; the sections in order are the whole text."""

    text: str
    page: int | None = None
    """The page this is, from 1; a page is always one section. None for documents without pages."""
    page_count: int | None = None
    markdown: bool = False


def problem(path: Path, advice: str) -> DocumentError:
    """The error for one file, in one line whatever its name holds."""
    return DocumentError(f"{printable(path)}: {advice}")


def printable(path: Path) -> str:
    """A path as text that any store and screen takes: bytes that are no UTF-8 and controls are replaced."""
    return _UNPRINTABLE.sub("\ufffd", os.fsencode(path).decode("utf-8", "replace"))


def require_regular(path: Path) -> os.stat_result:
    """Its status, without opening it: opening a pipe may block, opening a device may act.

    Raises `DocumentError` for anything that is not a regular file.
    """
    with reading(path):
        try:
            status = path.stat()
        except ValueError:  # a NUL in the name
            raise problem(path, "no such file; check the path.") from None
    if stat.S_ISDIR(status.st_mode):
        raise problem(path, "is a folder, not a file.")
    if not stat.S_ISREG(status.st_mode):
        raise problem(path, "is a pipe, socket or device, not a file; save what it holds to a file first.")
    return status


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn what the operating system refuses into a `DocumentError`."""
    try:
        yield
    except FileNotFoundError:
        raise problem(path, "no such file; check the path.") from None
    except PermissionError:
        raise problem(path, "may not be read; check its permissions.") from None
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error}).") from None
