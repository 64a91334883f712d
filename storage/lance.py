"""One LanceDB table of vectors behind typed calls. Knows no SQLite, no text and no embedder.

Everything here raises `Damaged` when the folder is missing, torn or not LanceDB's.
"""
# pyright: basic
# (lancedb and pyarrow are only partly typed; nothing untyped leaves this file.)

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ContextDecorator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_FRAGMENTS = 64
"""Each batch adds a file that every search opens; beyond this they are merged."""
OLD_VERSIONS_KEPT = timedelta(hours=1)
"""Longer than any search that may still read one."""
CACHE_BYTES = 32 << 20


class Damaged(Exception):
    """The table cannot be read or written."""


class _Translated(ContextDecorator):
    """Turns what LanceDB raises for such a folder into `Damaged`: its Rust code panics on a torn file."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        panicked = kind is not None and kind.__name__ in ("RustPanic", "PanicException")  # neither can be imported
        if panicked or isinstance(error, OSError | RuntimeError | ValueError):
            raise Damaged(str(error)) from error


_translated = _Translated()


class VectorTable:
    """Rows of (seq, owner, vector)."""

    def __init__(self, table: Any) -> None:  # noqa: ANN401 - an untyped LanceTable, passed only by this file
        self._table = table

    @classmethod
    @_translated
    def open(cls, folder: Path, name: str, version: int) -> VectorTable:
        """A table as it was at a version; read-only until `go_back_here`."""
        if not folder.exists():  # or LanceDB would make it
            raise FileNotFoundError(folder)
        table = _connect(folder).open_table(name)
        table.checkout(version)
        return cls(table)

    @classmethod
    @_translated
    def create(cls, folder: Path, name: str, dim: int) -> VectorTable:
        """A new, empty table."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(_connect(folder).create_table(name, schema=_schema(dim)))

    @property
    @_translated
    def version(self) -> int:
        return int(self._table.version)

    @_translated
    def go_back_here(self) -> None:
        """Undo what was written after the version that was opened, and go on from it."""
        version = self.version
        self._table.checkout_latest()
        if self.version != version:
            self._table.restore(version)

    @_translated
    def add(self, seqs: Sequence[int], owners: Sequence[str], vectors: NDArray[np.float32]) -> None:
        import pyarrow as pa

        dim = vectors.shape[1]
        rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim)
        columns = [pa.array(seqs, pa.int64()), pa.array(owners, pa.string()), rows]
        self._table.add(pa.Table.from_arrays(columns, schema=_schema(dim)))

    @_translated
    def remove(self, seqs: Sequence[int], owners: Sequence[str]) -> None:
        if seqs:
            self._table.delete(f"seq IN ({', '.join(map(str, seqs))})")
        if owners:
            listed = ", ".join(f"'{owner}'" for owner in owners)
            self._table.delete(f"owner IN ({listed})")

    @_translated
    def count(self) -> int:
        return int(self._table.count_rows())

    @_translated
    def nearest(self, vector: NDArray[np.float32], owners: Sequence[str], limit: int) -> dict[int, float]:
        """The `limit` rows of these owners with the highest dot product, by seq.

        An exact scan: right, and fast enough, up to some 100,000 rows. Beyond, an IVF_SQ index
        belongs on the column, and many probes to a search this narrow.
        """
        listed = ", ".join(f"'{owner}'" for owner in owners)
        found = (
            self._table.search(vector, vector_column_name="vector")
            .distance_type("dot")
            .where(f"owner IN ({listed})", prefilter=True)
            .limit(limit)
            .select(["seq", "_distance"])
            .to_arrow()
        )
        return {
            seq: 1 - distance
            for seq, distance in zip(found["seq"].to_pylist(), found["_distance"].to_pylist(), strict=True)
        }

    @_translated
    def compact(self) -> None:
        """Merge small files when there are many, and drop what no search can still be reading."""
        if self.fragments() > MAX_FRAGMENTS:
            self._table.optimize(cleanup_older_than=OLD_VERSIONS_KEPT)

    def fragments(self) -> int:
        return int(self._table.stats()["fragment_stats"]["num_fragments"])


@_translated
def drop(folder: Path) -> None:
    """Remove the tables and whatever else is in the folder, or in its place."""
    if folder.is_dir():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _schema(dim: int) -> Any:  # noqa: ANN401
    import pyarrow as pa

    return pa.schema([("seq", pa.int64()), ("owner", pa.string()), ("vector", pa.list_(pa.float32(), dim))])


def _connect(folder: Path) -> Any:  # noqa: ANN401
    os.environ.setdefault("LANCEDB_LOG", "error")  # read when it is imported
    import lancedb

    session = lancedb.Session(index_cache_size_bytes=CACHE_BYTES, metadata_cache_size_bytes=CACHE_BYTES)
    return lancedb.connect(folder, session=session)
