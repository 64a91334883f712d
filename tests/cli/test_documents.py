"""`memos ingest`, `ask`, `documents`, `search`: files in, cited passages out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.program import Program

LINES = ("The Reef", "", "The Great Barrier Reef lies off the coast of Queensland.", "It can be seen from space.", "")
TEXT = "\ufeff" + "\r\n".join(LINES)
EXTRACTED = "\n".join(LINES)


@pytest.fixture
def reef(memos: Program) -> Path:
    path = memos.folder / "reef.txt"
    path.write_bytes(TEXT.encode())
    return path


def documents(memos: Program) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = memos("documents", "--json").json["documents"]
    return listed


def test_a_document_from_beginning_to_end(memos: Program, reef: Path) -> None:
    loaded = memos("ingest", "reef.txt", "--json")

    assert loaded.code == 0, loaded.err
    assert set(loaded.json) == {"documents", "seconds"}
    (report,) = loaded.json["documents"]
    assert set(report) == {"source", "status", "pages", "passages", "characters", "error"}
    assert report["source"] == str(reef)
    assert (report["status"], report["characters"], report["error"]) == ("stored", len(EXTRACTED), None)

    again = memos("ingest", "reef.txt")
    assert again.out.startswith("known: ")
    assert len(documents(memos)) == 1

    assert memos("documents", "text", "reef.txt").out == EXTRACTED
    shown = memos("documents", "show", "reef.txt", "--json").json
    assert (shown["source"], shown["lines"], shown["pages"]) == (str(reef), 4, None)

    removed = memos("documents", "remove", "reef.txt")
    assert (removed.code, removed.out) == (0, "")
    assert documents(memos) == []
    assert reef.exists()
    gone = memos("documents", "text", "reef.txt")
    assert (gone.code, gone.out) == (1, "")
    assert "reef.txt" in gone.err


def test_looking_creates_nothing(memos: Program) -> None:
    shown = memos("documents")

    assert (shown.code, shown.out) == (0, "")
    assert "memos ingest" in shown.err
    assert memos("documents", "text", "reef.txt").code == 1
    assert not memos.home.exists()


def test_ask_quotes_the_very_text(memos: Program, reef: Path) -> None:
    asked = memos("ask", "Where does the Great Barrier Reef lie?", "reef.txt", "--json")

    assert asked.code == 0, asked.err
    fields = asked.json
    assert set(fields) == {"answer", "model", "citations", "usage"}
    assert fields["model"] == "extractive"
    assert "Queensland" in str(fields["answer"])
    citations = fields["citations"]
    assert citations
    for citation in citations:
        assert set(citation) == {"source", "quote", "page", "line_start", "line_end", "char_start", "char_end"}
        assert citation["source"] == str(reef)
        assert citation["page"] is None
        assert EXTRACTED[citation["char_start"] : citation["char_end"]] == citation["quote"]
        lines = EXTRACTED.split("\n")[citation["line_start"] - 1 : citation["line_end"] - 1]
        assert citation["quote"] in "\n".join(lines)
    assert memos("agents", "--json").json == {"agents": []}


def test_ask_for_people_names_the_place(memos: Program, reef: Path) -> None:
    asked = memos("ask", "Where does the Great Barrier Reef lie?", "reef.txt", "missing.txt")

    assert asked.code == 1
    assert f"[1] {reef}, line" in asked.out
    assert "missing.txt" in asked.err


def test_a_file_that_fails_does_not_keep_others_out(memos: Program, reef: Path) -> None:
    (memos.folder / "empty.txt").touch()

    loaded = memos("ingest", "reef.txt", "empty.txt")

    assert loaded.code == 1
    assert loaded.out.count("\n") == 1
    assert loaded.out.startswith("stored: ")
    assert loaded.err.count("\n") == 1
    assert "empty.txt" in loaded.err


def test_a_folder_with_one_bad_file_is_no_failure(memos: Program, reef: Path) -> None:
    folder = memos.folder / "shelf"
    folder.mkdir()
    reef.rename(folder / "reef.txt")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))

    loaded = memos("ingest", "shelf")

    assert (loaded.code, loaded.out.count("\n")) == (0, 1)
    assert "picture.png" in loaded.err


def test_search_looks_where_it_is_told(memos_inside: Program, reef: Path) -> None:
    memos = memos_inside
    memos("ingest", "reef.txt")
    memos("send", "Remember that my boat is called Queensland Star.")

    for tier in ("recall", "documents"):
        found = memos("search", "Queensland", "--in", tier, "--json").json
        assert found["total"]
        assert {hit["tier"] for hit in found["hits"]} == {tier}
        for hit in found["hits"]:
            assert list(hit) == [
                *("tier", "id", "text", "score", "created_at", "role", "source", "page", "line_start", "line_end")
            ]
    everywhere = memos("search", "Queensland", "--limit", "3", "--json").json["hits"]
    assert {"recall", "documents"} <= {hit["tier"] for hit in everywhere}
    assert len({(hit["tier"], hit["id"]) for hit in everywhere}) == len(everywhere) <= 3

    readable = memos("search", "Queensland", "--in", "documents")
    assert f"[documents, {reef}, line 1]" in readable.out
    nothing = memos("search", "zyzzyva", "--in", "recall")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "Nothing found.\n")
