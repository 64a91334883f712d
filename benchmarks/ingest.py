"""Ingest one file through memos and through the least that could do the work; compare their CPU time.

    python benchmarks/ingest.py [FILE] [--runs N]

The floor is what no document store with a vector index can leave out: chunk the decoded text, embed
the chunks, write them to one SQLite table (WAL, synchronous=FULL, in batches), write them with their
vectors to LanceDB in batches of 10,000 rows. memos adds hashes, exact lines, full text, the
transactions of a draft, and the index log. Target: at most twice the floor.

Without FILE, or where there is none, text of the size of War and Peace is made up. Each run takes a
fresh folder and a fresh process; the first pair, which warms the disk cache, is not counted.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

SIZE_CHARACTERS = 3_230_000
BATCH_SQLITE = 256
BATCH_LANCE = 10_000


class UtcClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def run_memos(file: Path, home: Path) -> int:
    from memos.documents.ingest import ingest
    from memos.storage.database import Database
    from memos.storage.embedder import StaticEmbedder
    from memos.storage.library import SqliteLibrary
    from memos.storage.vectors import VectorIndex

    database = Database(home / "memos.db")
    index = VectorIndex(database, home / "index", home / "index.lock", StaticEmbedder)
    report = ingest([file], SqliteLibrary(database, UtcClock(), index))
    index.apply_pending()
    database.close()
    passages = report.documents[0].passages
    if passages is None:
        sys.exit(str(report.documents[0].error))
    return passages


def run_floor(file: Path, home: Path) -> int:
    import lancedb
    import pyarrow as pa
    from semantic_text_splitter import TextSplitter

    from memos.documents.chunks import BLOCK_LIMIT_CHARACTERS, CHUNK_LIMIT_CHARACTERS
    from memos.storage.embedder import StaticEmbedder

    text = file.read_text(encoding="utf-8-sig")
    splitter = TextSplitter(CHUNK_LIMIT_CHARACTERS, trim=False)
    # In blocks, as memos does: the splitter is slower on the whole, and the floor must be the least.
    starts = range(0, len(text), BLOCK_LIMIT_CHARACTERS)
    chunks = [chunk for at in starts for chunk in splitter.chunks(text[at : at + BLOCK_LIMIT_CHARACTERS])]

    connection = sqlite3.connect(home / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE passages (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    for at in range(0, len(chunks), BATCH_SQLITE):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO passages VALUES (?, ?)", enumerate(chunks[at : at + BATCH_SQLITE], at))
        connection.execute("COMMIT")
    connection.close()

    embedder = StaticEmbedder()
    shape = pa.schema([("id", pa.int64()), ("text", pa.string()), ("vector", pa.list_(pa.float32(), embedder.dim))])
    table = lancedb.connect(str(home / "index")).create_table("passages", schema=shape)
    for at in range(0, len(chunks), BATCH_LANCE):
        batch = chunks[at : at + BATCH_LANCE]
        flat = pa.array(embedder.embed(batch).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(flat, embedder.dim)
        table.add(pa.table([pa.array(range(at, at + len(batch))), pa.array(batch), vectors], schema=shape))
    return len(chunks)


WAYS = {"memos": run_memos, "floor": run_floor}


def measure(way: str, file: Path) -> tuple[float, float, int]:
    """CPU seconds of a fresh process after its imports of the standard library, wall seconds, passages."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(file), "--way", way, "--home", folder]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(output[0]), float(output[1]), int(output[2])


def report_one(way: str, file: Path, home: Path) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    passages = WAYS[way](file, home)
    print(time.process_time() - cpu, time.perf_counter() - wall, passages)


def invent(path: Path) -> Path:
    """Sentences of made-up words: as many distinct ones, and as often, as a long novel has."""
    chooser = random.Random(1869)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(chooser.choices(letters, k=chooser.randint(2, 10))) for _ in range(18_000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < SIZE_CHARACTERS:
            sentences = (chooser.choices(words, weights, k=chooser.randint(4, 30)) for _ in range(6))
            file.write(" ".join(" ".join(sentence).capitalize() + "." for sentence in sentences) + "\n\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        report_one(arguments.way, arguments.file, arguments.home)
        return
    with tempfile.TemporaryDirectory() as folder:
        named: Path | None = arguments.file
        file = named if named is not None and named.is_file() else invent(Path(folder) / "novel.txt")
        compare(file, arguments.runs)


def compare(file: Path, runs: int) -> None:
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, median of {runs} runs, fresh processes")
    taken: dict[str, list[tuple[float, float, int]]] = {way: [] for way in WAYS}
    for run in range(runs + 1):
        for way, results in taken.items():  # by turns, so that other load on the machine meets both
            result = measure(way, file)
            if run:
                results.append(result)
    medians: dict[str, float] = {}
    for way, results in taken.items():
        medians[way] = statistics.median(cpu for cpu, _, _ in results)
        wall = statistics.median(wall for _, wall, _ in results)
        print(f"{way}: {medians[way]:.2f} s CPU, {wall:.2f} s elapsed, {results[0][2]} passages")
    ratio = medians["memos"] / medians["floor"]
    print(f"ratio: {ratio:.2f} (target: at most 2)")


if __name__ == "__main__":
    main()
