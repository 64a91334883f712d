import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memos.documents import pdf, plain_text, readers
from memos.errors import DocumentError

MakePdf = Callable[..., Path]


def text_of(path: Path) -> str:
    return "".join(section.text for section in readers.read(path))


def refusal(path: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        text_of(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"plain", "plain"),
        ("naïve 😀".encode(), "naïve 😀"),
        ("naïve".encode("utf-8-sig"), "naïve"),
        ("naïve 😀".encode("utf-16"), "naïve 😀"),
        ("\ufeffnaïve".encode("utf-16-be"), "naïve"),
        ("naïve".encode("utf-32"), "naïve"),
        ("“naïve” – 5 €".encode("cp1252"), "“naïve” – 5 €"),
        (b"a\r\nb\rc\nd\r\n", "a\nb\nc\nd\n"),
        ("a\r\nb".encode("utf-16"), "a\nb"),
        ("Übung macht den Meister ".encode() * 9 + "ß".encode()[:1], "Übung macht den Meister " * 9 + "\ufffd"),
        ("\ufffd Übung".encode() + b"\xff", "\ufffd Übung\ufffd"),
        ("\ufeffÜbung".encode() + b"\xff", "Übung\ufffd"),
        (b"\x1b[31mred\x1b[0m log", "\x1b[31mred\x1b[0m log"),
        (b"x" * 99 + b"\x01", "x" * 99 + "\x01"),
    ],
)
def test_text_is_decoded_and_its_newlines_are_line_feeds(tmp_path: Path, content: bytes, expected: str) -> None:
    assert text_of(write(tmp_path / "text.txt", content)) == expected


def test_text_longer_than_a_block_is_read_whole_and_in_pieces(tmp_path: Path) -> None:
    text = "Grüße, 世界 😀\n" * 150_000
    path = write(tmp_path / "long.txt", text.replace("\n", "\r\n").encode())
    sections = list(readers.read(path))
    assert len(sections) > 1
    assert "".join(section.text for section in sections) == text


@pytest.mark.parametrize(("name", "markdown"), [("a.md", True), ("a.MARKDOWN", True), ("a.txt", False), ("a", False)])
def test_markdown_is_known_by_its_suffix(tmp_path: Path, name: str, markdown: bool) -> None:
    assert [section.markdown for section in readers.read(write(tmp_path / name, b"# Title"))] == [markdown]


def test_pdf_pages_are_numbered_and_joined_by_one_newline(make_pdf: MakePdf) -> None:
    sections = list(readers.read(make_pdf([["First page", "second line"], [], ["Third page"]])))
    assert [(s.page, s.page_count, s.text) for s in sections] == [
        (1, 3, "First page\nsecond line\n"),
        (2, 3, "\n"),
        (3, 3, "Third page"),
    ]


def test_pdf_is_known_by_its_content_too(make_pdf: MakePdf) -> None:
    assert text_of(make_pdf([["Hello"]], "no-suffix")) == "Hello"


def test_pdf_text_beyond_the_basic_plane_is_whole(make_pdf: MakePdf) -> None:
    assert text_of(make_pdf([["xb ab"]], to_unicode={"x": "D835DC65", "a": "4E16", "b": "0062"})) == "𝑥b 世b"


def test_pdf_page_of_many_characters_without_text_is_read(make_pdf: MakePdf) -> None:
    assert text_of(make_pdf([["n" * 3000 + "text" + "n" * 3000]], to_unicode={"n": "FFFE", "e": "0065"})) == "text"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("pur\ufffechase", "purchase"),
        ("Übe\ufffeÜbe", "ÜbeÜbe"),
        ("1999\ufffe2001", "1999-2001"),
        ("end\ufffe\r\nnext", "end-\nnext"),
        ("\ufffe", "-"),
        ("a\x00b\x1bc\td\ud835e\uffff", "a\ufffdb\ufffdc\td\ufffde\ufffd"),
    ],
)
def test_pdf_text_is_repaired(raw: str, expected: str) -> None:
    assert pdf.clean(raw) == expected


def test_what_is_no_document_is_refused_in_one_line(tmp_path: Path, make_pdf: MakePdf) -> None:
    whole = make_pdf([["Hello"]]).read_bytes()
    cases = {
        "no such file": tmp_path / "missing.txt",
        "is a folder": tmp_path,
        "is empty; ": write(tmp_path / "empty.txt", b""),
        "empty but for white space": write(tmp_path / "blank.txt", b" \r\n\t\n" * 9),
        "binary data": write(tmp_path / "nul.txt", b"text\0text"),
        "password": make_pdf([["Secret"]], "locked.pdf", locked=True),
        "damaged PDF": write(tmp_path / "cut.pdf", whole[:60]),
        "no text layer": make_pdf([[], []], "scan.pdf"),
        "is empty;": write(tmp_path / "empty.pdf", b""),
        "encoding that cannot be told": write(tmp_path / "sjis.csv", "表、ソ。".encode("shift_jis")),
    }
    for expected, path in cases.items():
        assert expected in refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x7fELF\x02\x01\x01\0\0\0",
        bytes(range(1, 32)) * 3,
        b"caf\xe9 \x01",
        "no mark".encode("utf-16-le"),
        "a\0b".encode("utf-16"),
    ],
)
def test_binary_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "binary data" in refusal(write(tmp_path / "blob", content))


def test_text_that_breaks_its_byte_order_mark_is_refused(tmp_path: Path) -> None:
    assert "marked as UTF-16" in refusal(write(tmp_path / "cut.txt", "text".encode("utf-16")[:-1]))


def test_password_protection_of_a_kind_unknown_is_refused(make_pdf: MakePdf) -> None:
    path = make_pdf([["Secret"]], locked=True)
    path.write_bytes(path.read_bytes().replace(b"/Standard", b"/Whatever"))
    assert "protected" in refusal(path)


def test_a_damaged_pdf_is_not_called_locked_because_the_one_before_was(make_pdf: MakePdf) -> None:
    refusal(make_pdf([["Secret"]], "locked.pdf", locked=True))
    path = make_pdf([["Hello"]])
    path.write_bytes(path.read_bytes().replace(b"/Pages 2 0 R", b"/Pages 9 0 R"))
    assert "damaged PDF" in refusal(path)


def test_a_page_that_cannot_be_read_is_named(make_pdf: MakePdf) -> None:
    path = make_pdf([["One"], ["Two"]])
    path.write_bytes(path.read_bytes().replace(b"7 0 obj\n<< /Type /Page ", b"7 0 obj\n[] % /Type /Pag"))
    assert "page 2" in refusal(path)


def test_a_page_beyond_the_limit_is_refused(make_pdf: MakePdf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_pdf([["One page"], ["Two pages"]])
    monkeypatch.setattr(pdf, "DOCUMENT_LIMIT_CHARACTERS", 12)
    assert "more than 12 characters" in refusal(path)
    monkeypatch.setattr(pdf, "PAGE_LIMIT_CHARACTERS", 3)
    assert "page 1 holds more than 3" in refusal(path)


@pytest.mark.skipif(os.name != "posix", reason="pipes and sockets with names are POSIX's")
def test_pipes_sockets_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    endpoint = socket.socket(socket.AF_UNIX)
    # A socket's name may hold about a hundred bytes, which a temporary folder can exceed.
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        endpoint.bind("sock")
    finally:
        os.chdir(here)
    started = time.monotonic()
    for path in (tmp_path / "pipe.txt", tmp_path / "sock", Path(os.devnull)):
        assert "pipe, socket or device" in refusal(path)
    endpoint.close()
    assert time.monotonic() - started < 2


def test_what_permissions_forbid_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "secret.txt", b"text")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permissions" in refusal(path)


def test_a_name_with_odd_characters_stays_one_line(tmp_path: Path) -> None:
    for name in ("two\nlines.txt", "nul\0.txt", "caf\udce9.txt"):
        with pytest.raises(DocumentError) as caught:
            text_of(tmp_path / name)
        str(caught.value).encode("utf-8")
        assert str(caught.value).isprintable()


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "never")
    assert "no such file" in refusal(tmp_path / "gone")
    refusal(tmp_path / "loop")


def test_a_file_that_vanishes_between_looks_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "short-lived.txt", b"text")
    sections = readers.read(path)
    path.unlink()
    with pytest.raises(DocumentError, match="no such file"):
        next(sections)
    with pytest.raises(DocumentError, match="no such file"):
        next(plain_text.read(path, markdown=False))


def test_pdfs_are_read_by_many_threads_at_once(make_pdf: MakePdf) -> None:
    expected = [f"Page {number}" for number in range(20)]
    path = make_pdf([[line] for line in expected])
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(text_of(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["\n".join(expected)] * 4


def test_nothing_is_printed(tmp_path: Path, make_pdf: MakePdf, capfd: pytest.CaptureFixture[str]) -> None:
    text_of(make_pdf([["Hello"]]))
    refusal(write(tmp_path / "damaged.pdf", b"%PDF-1.4 nothing of the kind"))
    refusal(make_pdf([["Secret"]], locked=True))
    assert capfd.readouterr() == ("", "")
