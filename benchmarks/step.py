"""What a step costs: CPU milliseconds of this process, storage included, the model's own time excluded.

    python benchmarks/step.py [--turns 500]

First with a scripted model that answers at once. Then over loopback HTTP, where the server is another
process: the same requests are sent once more with the bare OpenAI SDK, and memos may cost at most
`LIMIT_MS` more than that. Exits 1 when a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memos import Agent

if TYPE_CHECKING:
    from openai import OpenAI

LIMIT_MS = 5.0
WARM_UP_TURNS = 5
REPLY = {"message": "I see. Tell me more about the trilobites in your collection."}


def words(number: int) -> str:
    return f"Turn {number}: today I cleaned trilobite number {number} and put it on the shelf by the window."


def measure_turns(home: Path, model: str, turns: int) -> tuple[float, float, int]:
    """CPU and wall milliseconds a step, and the number of steps."""
    with Agent.open("bench", model=model, home=home) as agent:
        for number in range(WARM_UP_TURNS):
            agent.send(words(number))
        started, started_cpu = time.perf_counter(), time.process_time()
        steps = sum(agent.send(words(WARM_UP_TURNS + number)).steps for number in range(turns))
        cpu_s, wall_s = time.process_time() - started_cpu, time.perf_counter() - started
    return cpu_s * 1000 / steps, wall_s * 1000 / steps, steps


# ---------------------------------------------------------------- the server, in a process of its own


class Handler(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that says the same thing every time and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    requests: list[object] = []  # noqa: RUF012 - one server, one list

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        del format, args

    def do_GET(self) -> None:
        self.answer("application/json", json.dumps(self.requests).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        call = {
            "index": 0,
            "id": f"call_{len(self.requests)}",
            "type": "function",
            "function": {"name": "send_message", "arguments": json.dumps(REPLY)},
        }
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
        if not body.get("stream"):
            choice: dict[str, object] = {"index": 0, "finish_reason": "tool_calls", "message": message}
            completion = self.envelope("chat.completion", [choice]) | {"usage": usage}
            self.answer("application/json", json.dumps(completion).encode())
            return
        chunks = [
            self.envelope("chat.completion.chunk", [{"index": 0, "delta": message, "finish_reason": None}]),
            self.envelope("chat.completion.chunk", [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]),
            self.envelope("chat.completion.chunk", []) | {"usage": usage},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        self.answer("text/event-stream", "".join(lines).encode())

    def envelope(self, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
        return {"id": "bench", "object": kind, "created": 0, "model": "bench", "choices": choices}

    def answer(self, content_type: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def serve() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def running_server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def measure_sdk(url: str) -> tuple[float, int]:
    """CPU milliseconds a call of the bare SDK, for every request that memos made after its warm-up."""
    from openai import OpenAI

    with urllib.request.urlopen(f"{url}/requests") as response:
        bodies: list[dict[str, Any]] = json.load(response)
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for body in bodies[:WARM_UP_TURNS]:
            call(client, body)
        bodies = bodies[WARM_UP_TURNS:]
        started = time.process_time()
        for body in bodies:
            call(client, body)
        return (time.process_time() - started) * 1000 / len(bodies), len(bodies)


def call(client: OpenAI, body: dict[str, Any]) -> None:
    answer = client.chat.completions.create(**body)
    if body.get("stream"):
        for _ in answer:
            pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.json")
        script.write_text(json.dumps([{"calls": [{"name": "send_message", "arguments": REPLY}]}]), encoding="utf-8")
        cpu_ms, wall_ms, steps = measure_turns(Path(folder, "scripted"), f"scripted:{script}", options.turns)
        print(f"scripted model, {steps} steps: {cpu_ms:.2f} ms CPU a step (limit {LIMIT_MS}), {wall_ms:.2f} ms wall")
        passed = cpu_ms <= LIMIT_MS
        with running_server() as url:
            http_ms, wall_ms, steps = measure_turns(Path(folder, "http"), f"openai:bench@{url}/v1", options.turns)
            bare_ms, calls = measure_sdk(url)
        print(f"over HTTP, {steps} steps: {http_ms:.2f} ms CPU a step, {wall_ms:.2f} ms wall")
        print(f"bare SDK, the same {calls} requests: {bare_ms:.2f} ms CPU a call")
        print(f"memos adds {http_ms - bare_ms:.2f} ms (limit {LIMIT_MS})")
        passed = passed and http_ms - bare_ms <= LIMIT_MS
    print("within the limits" if passed else "OVER THE LIMITS")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
