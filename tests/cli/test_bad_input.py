"""Bad input: one clear line on stderr, the exit code of the table, nothing on stdout, nothing written."""

from __future__ import annotations

import os
import sys

import pytest
from support.program import Program, Result

CUT_PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nthis is where the rest was\n"


@pytest.fixture
def memos(memos_inside: Program) -> Program:
    return memos_inside


def check_refused(result: Result, code: int, *words: str) -> None:
    assert result.code == code, result.err
    assert result.out == ""
    assert result.err.startswith("memos: ")
    assert result.err.count("\n") == 1
    for word in words:
        assert word in result.err


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("binary.bin", bytes(range(256)) * 8, "binary.bin"),
        ("empty.txt", b"", "empty"),
        ("damaged.pdf", CUT_PDF, "damaged.pdf"),
        ("missing.txt", None, "missing.txt"),
    ],
)
@pytest.mark.parametrize("command", [["ingest"], ["ask", "What is it?"]], ids=["ingest", "ask"])
def test_a_file_that_cannot_be_read(
    memos: Program, command: list[str], name: str, content: bytes | None, word: str
) -> None:
    if content is not None:
        (memos.folder / name).write_bytes(content)

    check_refused(memos(*command, name), 1, word)
    assert not memos.home.exists()


def test_a_pdf_behind_a_password(memos: Program, locked_pdf: bytes) -> None:
    (memos.folder / "locked.pdf").write_bytes(locked_pdf)

    check_refused(memos("ingest", "locked.pdf"), 1, "locked.pdf", "password")
    assert not memos.home.exists()


def test_a_folder_without_readable_files(memos: Program) -> None:
    (memos.folder / "pictures").mkdir()
    (memos.folder / "void").mkdir()
    for name in ("a.png", "b.png"):
        (memos.folder / "pictures" / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))

    check_refused(memos("ingest", "pictures"), 1, "pictures", "none of its 2 files")
    check_refused(memos("ingest", "void"), 1, "void")
    assert not memos.home.exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["send", "hi", "--model", "nonsense"], "nonsense"),
        (["send", "hi", "--model", "openai:gpt-4.1-mini"], "OPENAI_API_KEY"),
        (["send", "hi", "--model", "scripted:no-such-file.json"], "no-such-file.json"),
        (["send", "hi", "--agent", "nobody"], "memos agents new nobody"),
        (["chat", "--agent", "nobody"], "memos agents new nobody"),
        (["send", "hi", "--context-tokens", "5"], "context_tokens"),
        (["search", "x", "--agent", "nobody"], "nobody"),
        (["context"], "memos send"),
        (["agents", "show", "nobody"], "nobody"),
        (["agents", "delete", "nobody", "--yes"], "nobody"),
        (["config", "set", "colour", "red"], "colour"),
    ],
)
def test_settings_that_cannot_be(memos: Program, arguments: list[str], word: str) -> None:
    check_refused(memos(*arguments), 3, word)
    assert not memos.home.exists()


def test_malformed_settings(memos: Program) -> None:
    memos.home.mkdir()
    settings = memos.home / "settings.toml"
    settings.write_text("model = [unclosed", encoding="utf-8")

    check_refused(memos("send", "hi"), 3, "settings.toml")
    assert list(memos.home.iterdir()) == [settings]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["send"], "TEXT"),
        (["send", "  "], "empty"),
        (["send", "hi", "--json", "--stream-json"], "--stream-json"),
        (["snd", "hi"], "send"),
        (["search", ""], "empty"),
        (["search", "x", "--limit", "0"], "--limit"),
        (["search", "x", "--in", "heaven"], "heaven"),
        (["ingest"], "PATH"),
        (["agents", "bogus"], "memos agents --help"),
    ],
)
def test_wrong_usage(memos: Program, arguments: list[str], word: str) -> None:
    check_refused(memos(*arguments), 2, word)
    assert not memos.home.exists()


def test_text_that_is_not_utf8(memos: Program) -> None:
    check_refused(memos("send", "-", stdin=b"\xff\xfe\x00"), 2, "UTF-8")
    assert not memos.home.exists()


def test_a_home_that_cannot_be(memos: Program) -> None:
    memos.home.write_text("a file stands in the way", encoding="utf-8")
    memos.home = memos.home / "home"

    check_refused(memos("send", "hi"), 5, "MEMOS_HOME")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is read-only to this user")
def test_a_read_only_home(memos: Program) -> None:
    memos.home.mkdir(mode=0o500)

    check_refused(memos("send", "hi"), 5, str(memos.home))


def test_an_unreachable_server(memos: Program) -> None:
    result = memos("send", "hi", "--model", "openai:any@http://127.0.0.1:9/v1", MEMOS_MAX_RETRIES="0")

    check_refused(result, 4, "127.0.0.1:9")


def test_an_untrusted_project_file_may_not_choose_the_server(memos: Program) -> None:
    (memos.folder / "memos.toml").write_text('model = "openai:any@http://127.0.0.1:9/v1"\n', encoding="utf-8")

    check_refused(memos("send", "hi"), 3, "memos config trust")
    assert not memos.home.exists()
    assert memos("config", "trust").code == 0
    assert memos("send", "hi", MEMOS_MAX_RETRIES="0").code == 4
