"""`memos context`: what fills the window now, by section."""

from __future__ import annotations

from memos.cli import output, shapes
from memos.cli.session import Flags, open_agent
from memos.events import ContextUsage


def run(flags: Flags, *, as_json: bool) -> None:
    """Print how full the window is."""
    with open_agent(flags, create_default=False) as agent:
        usage = agent.context()
    if as_json:
        output.emit_json(shapes.context_json(usage))
        return
    output.emit_table(("section", "tokens", "share"), _rows(usage))


def _rows(usage: ContextUsage) -> list[tuple[str, str, str]]:
    sections = [
        ("system", usage.system_tokens),
        ("functions", usage.functions_tokens),
        ("core memory", usage.core_tokens),
        ("summary", usage.summary_tokens),
        ("queue", usage.queue_tokens),
        ("used", usage.used_tokens),
        ("output reserve", usage.reserve_tokens),
        ("window", usage.limit_tokens),
        ("unchanged prefix", usage.prefix_tokens),
    ]
    return [(name, f"{tokens:,}", f"{tokens / usage.limit_tokens:.1%}") for name, tokens in sections]
