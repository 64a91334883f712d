"""Data of the static embedder: one int8 row per token, and the tokenizer that names the rows."""
