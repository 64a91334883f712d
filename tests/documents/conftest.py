"""PDF files written by hand, object by object, so that each test owns every byte of what it reads."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Pages = Sequence[Sequence[str]]
MakePdf = Callable[..., Path]


def build_pdf(pages: Pages, to_unicode: str, trailer: str) -> bytes:
    kids = " ".join(f"{5 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        f"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica {'/ToUnicode 4 0 R' if to_unicode else ''} >>",
        stream(to_unicode),
    ]
    for index, lines in enumerate(pages):
        shown = "".join(f"({line}) Tj T*\n" for line in lines)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {6 + 2 * index} 0 R >>"
        )
        objects.append(stream(f"BT /F1 12 Tf 72 720 Td 14 TL\n{shown}ET"))
    body = "%PDF-1.4\n"
    offsets: list[int] = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def stream(content: str) -> str:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"


@pytest.fixture
def make_pdf(tmp_path: Path) -> MakePdf:
    """Write a PDF of these lines on these pages; `to_unicode` maps codes to UTF-16 (hexadecimal)."""

    def make(
        pages: Pages, name: str = "made.pdf", *, to_unicode: dict[str, str] | None = None, locked: bool = False
    ) -> Path:
        mapping = "".join(f"<{ord(char):02X}> <{utf16}>\n" for char, utf16 in (to_unicode or {}).items())
        cmap = (
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
            "1 begincodespacerange <00> <FF> endcodespacerange\n"
            f"{len(to_unicode or {})} beginbfchar\n{mapping}endbfchar endcmap end end"
        )
        # No password gives this /U, the empty one included.
        lock = (
            f"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}> >>"
            if locked
            else ""
        )
        path = tmp_path / name
        path.write_bytes(build_pdf(pages, cmap if to_unicode else "", lock))
        return path

    return make
