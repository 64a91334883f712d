"""Make the static embedder's data: distil a sentence model to one vector per token, as int8.

    python benchmarks/distil_embedder.py                    distil and convert
    python benchmarks/distil_embedder.py --from FOLDER      convert what model2vec saved earlier

Distilling needs model2vec with its `distill` extra (`pip install "model2vec[distill]"`, which brings
torch) and the model, on disk or from its hub. Converting needs numpy and tokenizers only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DIM = 256
OUTPUT = Path(__file__).resolve().parent.parent / "storage" / "static_embedder"
DTYPES = {"I8": np.int8, "F16": np.float16, "F32": np.float32}


def distil(model: str, folder: Path) -> None:
    """Save model2vec's distillation of `model` in `folder`."""
    try:
        from model2vec.distill import distill  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SystemExit(f'{error}. Distilling needs: pip install "model2vec[distill]"') from None
    distill(model, pca_dims=DIM).save_pretrained(folder)


def convert(folder: Path, output: Path) -> tuple[int, int]:
    """Write `vectors.npy` and `tokenizer.json` from a folder model2vec saved; returns (rows, dim)."""
    table = to_int8(read_table(folder / "model.safetensors"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if tokenizer.get_vocab_size() != len(table):
        raise SystemExit(f"{folder}: {tokenizer.get_vocab_size()} tokens, but {len(table)} rows")
    # A passage is embedded whole, and a mean needs no equal lengths.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    np.save(output / "vectors.npy", table)
    (output / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    return table.shape[0], table.shape[1]


def to_int8(table: NDArray[np.generic]) -> NDArray[np.int8]:
    """Rounded with one scale for the whole table, so that rows keep their weights in a mean."""
    if table.dtype == np.int8:
        return table.astype(np.int8)
    values = table.astype(np.float32)
    return np.rint(values * (127 / np.abs(values).max())).astype(np.int8)


def read_table(path: Path) -> NDArray[np.generic]:
    """The tensor named "embeddings" of a safetensors file: a length, a JSON header, raw rows."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:start])["embeddings"]
    first, last = entry["data_offsets"]
    return np.frombuffer(data[start + first : start + last], DTYPES[entry["dtype"]]).reshape(entry["shape"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the static embedder's data.")
    parser.add_argument("--model", default=MODEL, help=f"the sentence model to distil (default: {MODEL})")
    parser.add_argument("--from", dest="folder", type=Path, help="a folder model2vec saved: convert only")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        rows, dim = convert(arguments.folder, arguments.output)
    else:
        with tempfile.TemporaryDirectory() as folder:
            distil(arguments.model, Path(folder))
            rows, dim = convert(Path(folder), arguments.output)
    print(f"{arguments.output}: {rows} tokens x {dim} dimensions")


if __name__ == "__main__":
    main()
