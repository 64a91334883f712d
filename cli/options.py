"""Options that several commands share, each described once. Imports nothing but Typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memos.messages import LoopMode

AgentName = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="The agent meant [default: default].")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="SPEC",
        help="extractive, openai:NAME, openai:NAME@URL or scripted:PATH [default: extractive].",
    ),
]
Loop = Annotated[
    LoopMode | None,
    typer.Option("--loop", help="How the agent runs: it speaks by a function call, or plain text is its reply."),
]
ContextTokens = Annotated[
    int | None,
    typer.Option("--context-tokens", metavar="N", help="The context window to use, at most the model's own."),
]
Text = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="What it says; - reads standard input.")]
LimitTokens = Annotated[int | None, typer.Option("--limit-tokens", min=1, metavar="N", help="The most it may hold.")]
Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="What the block is for, as the model reads it.")
]
Label = Annotated[str, typer.Argument(metavar="LABEL", help="The block's label, such as human.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SourcePaths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Files or folders of text, Markdown or PDF.", show_default=False)
]
AgentArgument = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name.", show_default=False)]
DocumentArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The document's path, its file name, or a unique part of either.", show_default=False
    ),
]
