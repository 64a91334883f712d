"""Vectors of passages: an index over SQLite that may be lost at any time.

`index_log` says what changed; whoever holds the file lock applies it in batches, and
`index_state.applied_seq`, written after them, says how far. Everything after it is scored from
SQLite, so a search sees what was committed before it. Another embedder, a missing or a damaged
index: it is made again, and until then searches are scored from SQLite. What a passage is worth
beside full text, and who may see it, is decided in `memos.storage.search`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from memos.errors import StorageError
from memos.ports import Embedder
from memos.storage import lance, pending
from memos.storage.database import Database
from memos.storage.pending import NOTHING, IndexState, Row

if TYPE_CHECKING:
    import numpy as np
    import sqlalchemy as sa
    from numpy.typing import NDArray

LONG_TAIL_PASSAGES = 512
"""From here on, embedding the tail for every search costs more than applying it."""
BATCH_PASSAGES = 8192
CACHED_VECTORS = 4096
"""Vectors of the tail kept from one search to the next (4 MB)."""
REBUILD_WAIT_S = 60

Progress = Callable[[int, int], None]


class _Unusable(Exception):
    """The index cannot answer; SQLite can."""


class VectorIndex:
    """Nearest passages by the vectors of their texts."""

    def __init__(self, database: Database, folder: Path, lock_path: Path, embedder: Callable[[], Embedder]) -> None:
        """Opens nothing; `folder` is LanceDB's alone, `lock_path` lies outside it."""
        self._database = database
        self._folder = folder.absolute()  # a relative name may be taken for a cloud address
        self._lock_path = lock_path
        self._make_embedder = embedder
        self._opening = threading.Lock()
        self._opened: tuple[lance.VectorTable, IndexState] | None = None
        self._tail_vectors: dict[str, NDArray[np.float32]] = {}

    def search(self, query: str, owners: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """The `limit` nearest passages of these owners: (passages.seq, cosine), best first.

        Nothing is hidden here: a passage whose latest placement deletes it is found as well.
        """
        vector = self._embedder.embed([query])[0]
        if not owners or not vector.any():
            return []
        self.apply_pending(at_least=LONG_TAIL_PASSAGES)
        try:
            scores = self._scores(vector, owners, limit)
        except _Unusable:
            scores = self._scores_after_repair(vector, owners, limit)
        return sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[:limit]

    def apply_pending(self, *, at_least: int = 1) -> None:
        """Bring the index up to date if that many changes wait; unless another process is at it.

        Does nothing inside a transaction, whose rows may yet be rolled back.
        """
        if self._database.in_transaction:
            return
        with self._database.read() as connection:
            state = pending.state(connection)
            waiting = pending.count(connection, state)
            if state.applied_seq:
                waiting += pending.count_removed(connection, state)
        if waiting < at_least:
            return
        with self._exclusive() as held:
            if not held:
                return
            try:
                self._apply()
            except (_Unusable, lance.Damaged):
                self._repair()

    def rebuild(self, progress: Progress | None = None) -> None:
        """Make the index anew from SQLite; `progress(done, total)` counts passages. Raises `StorageError`."""
        with self._exclusive(wait_s=REBUILD_WAIT_S) as held:
            if not held:
                raise StorageError(f"{self._lock_path}: another process is writing the index; try again later.")
            try:
                self._rebuild(progress)
            except lance.Damaged as error:
                raise StorageError(f"{self._folder}: the index cannot be written ({error}).") from error

    def close(self) -> None:
        """Apply a tail that would slow the next search down, and let go of the files."""
        self.apply_pending(at_least=LONG_TAIL_PASSAGES)
        self._opened = None

    # ------------------------------------------------------------ reading

    def _scores(self, vector: NDArray[np.float32], owners: Sequence[str], limit: int) -> dict[int, float]:
        with self._database.read() as connection:
            state = pending.state(connection)
            if state.applied_seq and state.embedder != self._embedder.name:
                raise _Unusable
            tail = pending.tail(connection, state, owners)
            indexed = state.applied_seq and pending.any_indexed(connection, owners, {row.seq for row in tail})
        scores = self._tail_scores(vector, tail)
        if indexed:
            scores |= self._indexed_scores(vector, owners, limit, state)
            with self._database.read() as connection:
                if pending.state(connection).table_name != state.table_name:  # made anew while we read
                    raise _Unusable
        return scores

    def _tail_scores(self, vector: NDArray[np.float32], tail: Sequence[Row]) -> dict[int, float]:
        # By content, not by seq: a transaction that is rolled back gives its seqs to others.
        known = self._tail_vectors
        new = [row for row in tail if row.id not in known]
        vectors = {row.id: known[row.id] for row in tail if row.id in known}
        vectors |= dict(zip((row.id for row in new), self._embedder.embed([row.text for row in new]), strict=True))
        if len(vectors) <= CACHED_VECTORS:
            self._tail_vectors = vectors
        return {row.seq: float(vectors[row.id] @ vector) for row in tail}

    def _indexed_scores(
        self, vector: NDArray[np.float32], owners: Sequence[str], limit: int, state: IndexState
    ) -> dict[int, float]:
        try:
            with self._opening:
                if self._opened is None or self._opened[1] != state:
                    self._opened = self._open(state), state
                table = self._opened[0]
            return table.nearest(vector, owners, limit)
        except lance.Damaged as error:
            self._opened = None
            raise _Unusable from error

    def _scores_after_repair(self, vector: NDArray[np.float32], owners: Sequence[str], limit: int) -> dict[int, float]:
        with self._database.read() as connection:
            worth_it = pending.count_all(connection) >= LONG_TAIL_PASSAGES
        if worth_it and not self._database.in_transaction:
            with self._exclusive() as held:
                repaired = held and self._repair()
            if repaired:
                try:
                    return self._scores(vector, owners, limit)
                except _Unusable:
                    pass
        return self._scores_from_sqlite(vector, owners)

    def _scores_from_sqlite(self, vector: NDArray[np.float32], owners: Sequence[str]) -> dict[int, float]:
        scores: dict[int, float] = {}
        for rows in self._batches(lambda connection, after: pending.owned(connection, owners, after, BATCH_PASSAGES)):
            vectors = self._embedder.embed([row.text for row in rows])
            scores |= {row.seq: float(score) for row, score in zip(rows, vectors @ vector, strict=True)}
        return scores

    def _open(self, state: IndexState) -> lance.VectorTable:
        with self._database.read() as connection:
            expected = pending.count_all(connection) - pending.count(connection, state)
            removing = pending.count_removed(connection, state) > 0
        table = lance.VectorTable.open(self._folder, state.table_name, state.table_version)
        rows = table.count()
        if rows < expected or (rows > expected and not removing):
            raise _Unusable
        return table

    # ------------------------------------------------------------ writing; the file lock is held

    def _apply(self) -> None:
        with self._database.read() as connection:
            state = pending.state(connection)
            upto = pending.last_seq(connection)
            removals = pending.removals(connection, state)
        if not state.applied_seq:
            self._rebuild(None)
            return
        if state.embedder != self._embedder.name:
            raise _Unusable
        table = self._open(state)
        table.go_back_here()  # a process may have died between writing and saying so
        for rows in self._batches(
            lambda connection, after: pending.tail_batch(connection, state, upto, after, BATCH_PASSAGES)
        ):
            self._add(table, rows)
        table.remove(
            [item_id for item, item_id in removals if item == "passage"],
            [f"d{item_id}" for item, item_id in removals if item == "document"],
        )
        table.compact()
        self._save(upto, state.table_name, table)

    def _repair(self) -> bool:
        """Make it anew if that can be done; if not, searches go on from SQLite."""
        try:
            self._rebuild(None)
        except lance.Damaged:
            return False
        return True

    def _rebuild(self, progress: Progress | None) -> None:
        with self._database.read() as connection:
            first = pending.state(connection) == NOTHING
            upto = pending.last_seq(connection)
            total = pending.count_all(connection)
        if not first:
            with self._database.write() as connection:  # nobody's: readers keep away until it is whole
                pending.save(connection, IndexState("", upto))
        lance.drop(self._folder)
        name = f"passages-{secrets.token_hex(8)}"
        table = lance.VectorTable.create(self._folder, name, self._embedder.dim)
        done = 0
        for rows in self._batches(
            lambda connection, after: pending.everything(connection, upto, after, BATCH_PASSAGES)
        ):
            self._add(table, rows)
            done += len(rows)
            if progress is not None:
                progress(done, max(done, total))
        self._save(upto, name, table)

    def _batches(self, read: Callable[[sa.Connection, int], list[Row]]) -> Iterator[list[Row]]:
        """Each batch in a transaction of its own, so that none is open while texts are embedded."""
        after = 0
        while True:
            with self._database.read() as connection:
                rows = read(connection, after)
            if not rows:
                return
            yield rows
            after = rows[-1].seq

    def _add(self, table: lance.VectorTable, rows: Sequence[Row]) -> None:
        if rows:
            vectors = self._embedder.embed([row.text for row in rows])
            table.add([row.seq for row in rows], [row.owner for row in rows], vectors)

    def _save(self, applied_seq: int, name: str, table: lance.VectorTable) -> None:
        state = IndexState(self._embedder.name, applied_seq, name, table.version)
        with self._database.write() as connection:
            pending.save(connection, state)

    @cached_property
    def _embedder(self) -> Embedder:
        return self._make_embedder()

    @contextmanager
    def _exclusive(self, wait_s: float = 0) -> Generator[bool]:
        """Whether this is the one writer now; the lock dies with its process."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._lock_path, timeout=wait_s, mode=0o600)
        try:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
        except (Timeout, OSError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
