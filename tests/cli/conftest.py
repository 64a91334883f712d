"""The program, and files it must refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.program import Program, ProgramInside


@pytest.fixture
def memos(home: Path) -> Program:
    """Runs `memos` with arguments; its home does not exist yet."""
    return Program(Path.cwd(), home)


@pytest.fixture
def memos_inside(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The same without a process of its own."""
    return ProgramInside(Path.cwd(), home, monkeypatch, capsys)


@pytest.fixture
def locked_pdf() -> bytes:
    """A one-page PDF behind a password: no password is the right one, its check values are made up."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >>",
        b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"1a" * 32 + b"> /U <" + b"2b" * 32 + b"> >>",
    ]
    body, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, content in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    trailer = b"<< /Size 5 /Root 1 0 R /Encrypt 4 0 R /ID [<00> <00>] >>"
    return body + b"xref\n0 5\n%strailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (table, trailer, len(body))
