"""The shipped embedder: its shape, its meaning, and the conversion that makes its data."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from memos.storage.embedder import DIM, FOLDER, StaticEmbedder

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "distil_embedder.py"


def test_rows_are_unit_float32(embedder: StaticEmbedder) -> None:
    vectors = embedder.embed(["Hello, world", "I collect trilobites."])
    assert (vectors.shape, vectors.dtype) == ((2, DIM), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.dim == DIM


def test_nothing_known_gives_zeros(embedder: StaticEmbedder) -> None:
    assert not embedder.embed(["", "   ", "😀"]).any()
    assert embedder.embed([]).shape == (0, DIM)


def test_unknown_tokens_are_left_out(embedder: StaticEmbedder) -> None:
    with_emoji, without = embedder.embed(["blue 😀 sea", "blue sea"])
    assert np.allclose(with_emoji, without)


def test_a_vector_is_the_mean_of_its_tokens_rows(embedder: StaticEmbedder) -> None:
    both, blue, sea = embedder.embed(["blue sea", "blue", "sea"])
    rows = np.load(FOLDER / "vectors.npy")
    vocabulary: dict[str, int] = json.loads((FOLDER / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    mean = rows[[vocabulary["blue"], vocabulary["sea"]]].astype(np.float64).mean(axis=0)
    assert np.allclose(both, mean / np.linalg.norm(mean), atol=1e-6)
    assert blue @ sea < 0.9


def test_long_texts_are_not_truncated_and_batches_change_nothing(embedder: StaticEmbedder) -> None:
    long = "ocean " * 3000
    first, second = embedder.embed([long + "volcano " * 3000, long])
    assert first @ second < 0.95
    texts = [f"text number {number}" for number in range(1500)]
    assert np.array_equal(embedder.embed(texts)[1200], embedder.embed([texts[1200]])[0])


def test_near_in_meaning_is_near(embedder: StaticEmbedder) -> None:
    query, near, far = embedder.embed(
        ["What is her dog called?", "The puppy's name is Rex.", "Taxes are due in April."]
    )
    assert query @ near > query @ far + 0.1


def test_any_string_can_be_embedded(embedder: StaticEmbedder) -> None:
    assert np.isfinite(embedder.embed(["\ud800 lone", "\x00", "a" * 100_000, "猫" * 500, "\u0300"])).all()


def test_the_conversion_rounds_with_one_scale(tmp_path: Path) -> None:
    script = _script()
    table = np.array([[0.5, -1.0], [0.25, 0.0], [2.0, 1.0]], np.float32)
    _save_model(tmp_path, table)
    (tmp_path / "out").mkdir()
    assert script.convert(tmp_path, tmp_path / "out") == (3, 2)
    assert np.load(tmp_path / "out" / "vectors.npy").tolist() == [[32, -64], [16, 0], [127, 64]]
    tokenizer = json.loads((tmp_path / "out" / "tokenizer.json").read_text("utf-8"))
    assert (tokenizer["truncation"], tokenizer["padding"]) == (None, None)


def test_the_conversion_refuses_a_table_that_does_not_fit(tmp_path: Path) -> None:
    script = _script()
    _save_model(tmp_path, np.ones((2, 2), np.float32))
    with pytest.raises(SystemExit, match="3 tokens, but 2 rows"):
        script.convert(tmp_path, tmp_path)


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("distil_embedder", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _save_model(folder: Path, table: np.ndarray) -> None:
    """A folder as model2vec saves it: three tokens, texts cut after one."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece

    tokenizer = json.loads(Tokenizer(WordPiece({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]")).to_str())
    cut = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"truncation": cut}), "utf-8")
    entry = {"dtype": "F32", "shape": list(table.shape), "data_offsets": [0, table.nbytes]}
    header = json.dumps({"embeddings": entry}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + table.tobytes())
