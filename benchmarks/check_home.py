"""Look a home over from outside: does what its tables, full text and vector index say agree?

    python benchmarks/check_home.py HOME

Reads `memos.db` with bare SQLite and the index with bare LanceDB, so that the program does not vouch for
itself; only the words that full text holds are made by `memos.storage.lexical`. Changes nothing. Prints
one line for each fault and exits 1 when there is any.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAME_COSINE = 0.99
_EPOCH = datetime.fromtimestamp(0, UTC)
QUERIES = {
    "damaged": "SELECT * FROM pragma_integrity_check WHERE integrity_check != 'ok'",
    "rows without their owner": "SELECT * FROM pragma_foreign_key_check",
    "gaps or doubles in a log": (
        "SELECT a.id, a.next_message_id, count(m.id) FROM agents a LEFT JOIN messages m ON m.agent_id = a.id "
        "GROUP BY a.id HAVING count(m.id) != a.next_message_id - 1 OR coalesce(max(m.id), 0) != a.next_message_id - 1"
    ),
    "log out of order": (
        "SELECT m.agent_id, m.id FROM messages m JOIN messages n ON n.agent_id = m.agent_id AND n.id = m.id + 1 "
        "WHERE n.seq < m.seq"
    ),
    "two blocks of one label": (
        "SELECT h.agent_id, b.label FROM agent_blocks h JOIN blocks b ON b.id = h.block_id "
        "WHERE h.until_version IS NULL GROUP BY h.agent_id, b.label HAVING count(*) > 1"
    ),
    "blocks nobody holds": "SELECT id FROM blocks WHERE id NOT IN (SELECT block_id FROM agent_blocks)",
    "blocks without a version": "SELECT id FROM blocks WHERE id NOT IN (SELECT block_id FROM block_versions)",
    "a passage twice": (
        "SELECT text FROM passages WHERE agent_id IS NOT NULL GROUP BY agent_id, text HAVING count(*) > 1"
    ),
    "own passages without placement": (
        "SELECT seq FROM passages WHERE agent_id IS NOT NULL AND seq NOT IN (SELECT passage_seq FROM placements)"
    ),
    "passages missing in index_log": (
        "SELECT seq FROM passages WHERE agent_id IS NOT NULL AND seq NOT IN "
        "(SELECT item_id FROM index_log WHERE operation = 'add' AND item = 'passage')"
    ),
    "whole documents missing in index_log": (
        "SELECT id FROM documents WHERE whole AND id NOT IN "
        "(SELECT item_id FROM index_log WHERE operation = 'add' AND item = 'document')"
    ),
    "whole documents that are not whole": (
        "SELECT d.id FROM documents d LEFT JOIN passages p ON p.document_id = d.id WHERE d.whole GROUP BY d.id "
        "HAVING count(p.seq) != d.passages OR coalesce(sum(length(p.text)), 0) != d.characters "
        "OR max(coalesce(p.ordinal, -1)) != d.passages - 1"
    ),
    "whole documents without a source": (
        "SELECT id FROM documents WHERE whole AND id NOT IN (SELECT document_id FROM sources)"
    ),
    "sources of documents that are not whole": (
        "SELECT path FROM sources JOIN documents d ON d.id = document_id WHERE NOT d.whole"
    ),
    "documents of one text": "SELECT content_hash FROM documents WHERE whole GROUP BY 1 HAVING count(*) > 1",
}


def check(home: Path) -> list[str]:
    """What is wrong with the home, a line each."""
    with closing(sqlite3.connect(home / "memos.db")) as db:
        faults = [f"{name}: {rows[:3]}" for name, query in QUERIES.items() if (rows := db.execute(query).fetchall())]
        for (agent_id,) in db.execute("SELECT id FROM agents").fetchall():
            faults += _calls(db, agent_id) + _receipts(db, agent_id)
        return faults + _full_text(db) + _vectors(db, home / "index")


def _calls(db: sqlite3.Connection, agent_id: int) -> list[str]:
    """Each call has one result behind it; those of a turn still open may lack theirs."""
    rows = db.execute(
        "SELECT id, kind, calls, call_id FROM messages WHERE agent_id = ? ORDER BY id", (agent_id,)
    ).fetchall()
    open_from = db.execute(
        "SELECT min(opening_id) FROM turns WHERE agent_id = ? AND stopped_by IS NULL", (agent_id,)
    ).fetchone()[0]
    faults: list[str] = []
    waiting: Counter[str] = Counter()
    made_at: dict[str, int] = {}
    for message_id, kind, calls, call_id in rows:
        for call in json.loads(calls or "[]"):
            waiting[call["id"]] += 1
            made_at[call["id"]] = message_id
        if kind == "result":
            waiting[call_id] -= 1
            if waiting[call_id] < 0:
                faults.append(f"agent {agent_id}: result {message_id} answers no call, or one that has its result")
    faults += [
        f"agent {agent_id}: call {call_id!r} of message {made_at[call_id]} has no result"
        for call_id, count in waiting.items()
        if count > 0 and (open_from is None or made_at[call_id] < open_from)
    ]
    return faults


def _receipts(db: sqlite3.Connection, agent_id: int) -> list[str]:
    """The standing receipts cover 1 … first_id - 1 without gap or overlap."""
    window = db.execute(
        "SELECT first_id, receipt_id FROM windows WHERE agent_id = ? ORDER BY id DESC LIMIT 1", (agent_id,)
    ).fetchone() or (1, None)
    end, receipt_id = window
    while receipt_id is not None:
        row = db.execute(
            "SELECT first_id, last_id, replaced_id FROM receipts WHERE id = ? AND agent_id = ?", (receipt_id, agent_id)
        ).fetchone()
        if row is None or row[1] != end - 1 or row[0] > row[1]:
            return [f"agent {agent_id}: receipt {receipt_id} covers {row}, and what follows begins at {end}"]
        end, receipt_id = row[0], row[2]
    return [] if end == 1 else [f"agent {agent_id}: no receipt covers messages 1 to {end - 1}"]


def _full_text(db: sqlite3.Connection) -> list[str]:
    """The index holds exactly the words of the rows, made anew beside it and compared term by term."""
    from memos.messages import Message, ToolCall
    from memos.storage.lexical import index_words

    def spoken(kind: str, role: str, text: str, name: str | None, calls: str | None) -> str:
        made = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in json.loads(calls or "[]"))
        said = Message(role, kind, text, _EPOCH, name=name, calls=made).spoken  # type: ignore[arg-type]
        return index_words(f"{name}: {said}" if name and said else said)

    wanted = {
        "messages_fts": [
            (seq, f"a{agent}", spoken(kind, role, text, name, calls))
            for seq, agent, kind, role, text, name, calls in db.execute(
                "SELECT seq, agent_id, kind, role, text, name, calls FROM messages"
            )
        ],
        "passages_fts": [
            (seq, f"a{agent}" if agent is not None else f"d{document}", index_words(text))
            for seq, agent, document, text in db.execute("SELECT seq, agent_id, document_id, text FROM passages")
        ],
    }
    faults: list[str] = []
    for name, rows in wanted.items():
        with closing(sqlite3.connect(":memory:")) as fresh:
            fresh.execute(
                "CREATE VIRTUAL TABLE t USING fts5(owner, words, content='', "
                "tokenize='porter unicode61 remove_diacritics 2')"
            )
            fresh.executemany("INSERT INTO t (rowid, owner, words) VALUES (?, ?, ?)", [row for row in rows if row[2]])
            fresh.execute("CREATE VIRTUAL TABLE v USING fts5vocab('t', 'instance')")
            made = Counter(fresh.execute("SELECT term, doc, col, offset FROM v"))
        db.execute(f"CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', '{name}', 'instance')")
        held = Counter(db.execute("SELECT term, doc, col, offset FROM temp.vocabulary"))
        db.execute("DROP TABLE temp.vocabulary")
        if lacking := list(made - held)[:3]:
            faults.append(f"{name} lacks {lacking}")
        if surplus := list(held - made)[:3]:
            faults.append(f"{name} still holds {surplus}")
    return faults


def _vectors(db: sqlite3.Connection, folder: Path) -> list[str]:
    """The table holds each passage that was applied once, under its owner, with the vector of its text."""
    state = db.execute(
        "SELECT embedder, applied_seq, table_name, table_version FROM index_state WHERE name = 'vectors'"
    ).fetchone()
    if state is None or not state[0] or not state[1]:
        return []  # nothing applied, or being made anew: searches read SQLite
    embedder, applied, name, version = state
    lancedb: Any = import_module("lancedb")  # typed in part only
    try:
        table = lancedb.connect(folder.absolute()).open_table(name)
        table.checkout(version)
        rows: list[dict[str, Any]] = table.search().select(["seq", "owner", "vector"]).to_arrow().to_pylist()
    except (OSError, RuntimeError, ValueError) as error:
        return [f"index cannot be read, a search will make it anew: {type(error).__name__}"]
    held = {row["seq"]: row for row in rows}
    faults = ["index holds a passage twice"] if len(held) != len(rows) else []
    faults += _applied(db, held, applied, embedder)
    for seq, row in held.items():
        item = ("passage", seq) if row["owner"][0] == "a" else ("document", int(row["owner"][1:]))
        if not _waits(db, applied, "remove", item):
            faults.append(f"index still holds passage {seq} of {row['owner']}")
    return faults


def _applied(db: sqlite3.Connection, held: dict[int, dict[str, Any]], applied: int, embedder_name: str) -> list[str]:
    """Compare each stored passage with its row, which is taken out of `held`."""
    from memos.storage.embedder import StaticEmbedder

    embedder = StaticEmbedder()
    faults: list[str] = []
    for seq, agent, document, text in db.execute(
        "SELECT p.seq, p.agent_id, p.document_id, p.text FROM passages p LEFT JOIN documents d ON d.id = p.document_id "
        "WHERE p.agent_id IS NOT NULL OR d.whole"
    ).fetchall():
        found = held.pop(seq, None)
        if found is None:
            if not _waits(db, applied, "add", ("passage", seq) if agent else ("document", document)):
                faults.append(f"index lacks passage {seq}")
        elif found["owner"] != (f"a{agent}" if agent else f"d{document}"):
            faults.append(f"index holds passage {seq} under {found['owner']}")
        elif embedder_name == embedder.name and _other_vector(embedder.embed([text])[0], found["vector"]):
            faults.append(f"index holds another text's vector for passage {seq}")
    return faults


def _waits(db: sqlite3.Connection, applied: int, operation: str, item: tuple[str, int]) -> bool:
    """Whether the log holds this behind what was applied."""
    query = "SELECT 1 FROM index_log WHERE seq > ? AND (operation, item, item_id) = (?, ?, ?)"
    return db.execute(query, (applied, operation, *item)).fetchone() is not None


def _other_vector(made: NDArray[np.float32], held: list[float]) -> bool:
    return bool(made.any()) and float(made @ np.asarray(held, np.float32)) < SAME_COSINE


def main() -> int:
    faults = check(Path(sys.argv[1]))
    print("\n".join(faults) or "nothing is wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
