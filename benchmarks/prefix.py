"""What a prompt cache is spared: tokens outside the unchanged prefix, beside the classic layout.

    python benchmarks/prefix.py [--turns 500] [--windows 4096 8192 32768]

A session with an edit of core memory every 5 turns. Each request is compared with the one before it, page by page;
what stands behind the first page that differs must be evaluated anew. In the classic layout the system message holds
core memory as it is now, and is rebuilt at each edit; everything else is the same, so its figures are computed from
the same requests. Exits 1 when a request between two flushes is no extension of the one before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.model import Model, call, calling, saying

from memos import Agent
from memos.ports import Delta, Page, Reply, Request

EDIT_EVERY = 5


@dataclass
class Session:
    """The requests of one session, each with core memory as it was then."""

    turns: int
    requests: list[Request] = field(default_factory=list[Request])
    cores: list[str] = field(default_factory=list[str])
    functions_tokens: int = 0


def answer(request: Request) -> Iterator[Delta | Reply]:
    """Speak; every few turns correct core memory first."""
    if request.purpose == "summary":
        return iter([Reply("The user told me of trilobites, their layers and the drawers they lie in.")])
    queue = [page.message for page in request.pages if page.section == "queue"]
    asked = max(i for i, message in enumerate(queue) if message.kind == "user_message")
    number = int(queue[asked].text.split()[1].rstrip(":"))
    if number % EDIT_EVERY == 0 and not any(message.kind == "reply" for message in queue[asked:]):
        edit = {"old_content": f"Last seen: {number - EDIT_EVERY}.", "new_content": f"Last seen: {number}."}
        return calling(call("core_memory_replace", label="human", **edit, request_heartbeat=True))
    return saying(f"Specimen {number} is noted. Was it found with others of its kind, or alone by the river?")


def hold(turns: int, window: int, home: Path) -> Session:
    session = Session(turns)

    def asked(request: Request) -> Iterator[Delta | Reply]:
        if request.purpose == "turn":
            session.requests.append(request)
            session.cores.append(agent.core["human"].value)
        return answer(request)

    with Agent.open("ada", backend=Model(asked, context_tokens=window, writes_summaries=True), home=home) as agent:
        agent.core["human"].set(f"Last seen: {-EDIT_EVERY}.")
        for number in range(turns):
            agent.send(f"Specimen {number}: a trilobite from layer {number % 13}, and it lies in drawer {number * 7}.")
        session.functions_tokens = agent.context().functions_tokens
    return session


def contents(page: Page) -> object:
    message = page.message
    return page.key, message.role, message.rendered, message.thoughts, message.calls, message.call_id


def outside(before: Sequence[object], now: Sequence[object], pages: Sequence[Page]) -> int:
    """Tokens of `pages` behind the first that differs."""
    same = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            break
        same += 1
    return sum(page.tokens for page in pages[same:])


def measure(session: Session) -> tuple[int, int, int, int]:
    """Tokens anew with the layout as it is, with the classic one, tokens sent, and flushes."""
    ours = classic = flushes = 0
    for (old, old_core), (new, new_core) in pairwise(zip(session.requests, session.cores, strict=True)):
        before, now = [contents(page) for page in old.pages], [contents(page) for page in new.pages]
        ours += outside(before, now, new.pages)
        if summary(old) != summary(new):
            flushes += 1
        elif now[: len(before)] != before:
            raise SystemExit(f"no extension of the request before it, between two flushes: {now[: len(before)]}")
        # The system message ends with core memory as it is now, so a change makes all behind its head new.
        classic_before = [before[0], old_core, *before[2:]]
        classic += outside(classic_before, [now[0], new_core, *now[2:]], new.pages)
    sent = sum(page.tokens for request in session.requests for page in request.pages)
    return ours, classic, sent + session.functions_tokens * len(session.requests), flushes


def summary(request: Request) -> str | None:
    return next((page.key for page in request.pages if page.section == "summary"), None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--windows", type=int, nargs="+", default=[4096, 8192, 32_768])
    options = parser.parse_args()
    print(f"{options.turns} turns, an edit of core memory every {EDIT_EVERY}, load {os.getloadavg()[0]:.1f}")
    print(" window  flushes  sent a turn  anew a turn  classic layout  classic / ours")
    for window in options.windows:
        with tempfile.TemporaryDirectory() as home:
            session = hold(options.turns, window, Path(home))
        ours, classic, sent, flushes = (figure for figure in measure(session))
        turns = options.turns
        print(
            f"{window:7,}  {flushes:7}  {sent / turns:11,.0f}  {ours / turns:11,.0f}  {classic / turns:14,.0f}"
            f"  {classic / ours:14.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
