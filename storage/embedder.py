"""The static embedder: a text's vector is the mean of its tokens' rows. No model runs, nothing is fetched.

Source: model2vec, https://github.com/MinishLab/model2vec; the data is made by
benchmarks/distil_embedder.py. Numpy and the tokenizer are loaded with the first text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FOLDER = Path(__file__).parent / "static_embedder"
NAME = "static-minilm-256-1"
"""Changes whenever the same text would get another vector."""
DIM = 256
UNKNOWN = "[UNK]"
BATCH_TEXTS = 1024
"""Bounds what the tokenizer holds at once."""


class StaticEmbedder:
    """Vectors from a table of token rows that ships with the package."""

    @property
    def name(self) -> str:
        return NAME

    @property
    def dim(self) -> int:
        return DIM

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (n, 256): float32, unit rows; zeros for a text without any known token.

        Tokens outside the vocabulary are left out, as model2vec does; no text is truncated.
        """
        import numpy as np

        table, tokenizer, unknown = self._data
        vectors = np.zeros((len(texts), DIM), np.float32)
        for start in range(0, len(texts), BATCH_TEXTS):
            batch = [_encodable(text) for text in texts[start : start + BATCH_TEXTS]]
            for row, encoding in enumerate(tokenizer.encode_batch_fast(batch, add_special_tokens=False), start):
                ids = [token for token in encoding.ids if token != unknown]
                # A sum points where the mean does; in integers it is exact, whatever the order.
                vectors[row] = table[ids].sum(axis=0, dtype=np.int32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        vectors /= lengths
        return vectors

    @cached_property
    def _data(self) -> tuple[NDArray[np.int8], Tokenizer, int | None]:
        import numpy as np
        from tokenizers import Tokenizer

        table: NDArray[np.int8] = np.load(FOLDER / "vectors.npy", mmap_mode="r")
        tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        return table, tokenizer, tokenizer.token_to_id(UNKNOWN)


def _encodable(text: str) -> str:
    """Lone surrogates, which the tokenizer refuses, as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
