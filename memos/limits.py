"""What may end a turn before the model does: steps, tokens, money. Plain arithmetic over usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from memos.messages import Usage


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost, in any one currency."""

    prompt: float = 0
    cached: float = 0
    completion: float = 0

    def cost_micros(self, usage: Usage) -> int:
        """Millionths of the currency. A price for a million is the millionths for one token."""
        fresh = max(0, usage.prompt_tokens - usage.cached_tokens)
        return round(
            fresh * self.prompt + usage.cached_tokens * self.cached + usage.completion_tokens * self.completion
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The most a turn may take; None is without limit."""

    steps: int = 50
    tokens: int | None = None
    cost: float | None = None
    prices: Prices = field(default_factory=Prices)

    def passed(self, steps: int, usage: Usage) -> Literal["steps", "tokens", "cost"] | None:
        """The first limit that is used up: asked before each step, so the last one may overshoot."""
        if steps >= self.steps:
            return "steps"
        if self.tokens is not None and usage.prompt_tokens + usage.completion_tokens >= self.tokens:
            return "tokens"
        if self.cost is not None and self.prices.cost_micros(usage) >= self.cost * 1_000_000:
            return "cost"
        return None
