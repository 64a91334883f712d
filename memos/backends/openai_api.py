"""Models behind the chat-completions API: OpenAI's own, and every server that speaks it.

Transport only: what is said is `rendering`'s, what is heard is `assembly`'s. The official SDK is
imported when the first request is made. A key goes to OpenAI itself or to a URL that the caller
names together with it, never elsewhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from memos.backends.assembly import ReplyAssembler, holds_completion, is_object
from memos.backends.provider_errors import Provider, error_from_status, malformed
from memos.backends.rendering import Json, render_messages, render_tools
from memos.errors import ConnectionFailed, SettingsError
from memos.messages import parse_object
from memos.ports import Delta, Reply, Request
from memos.tokens import EstimateCounter, O200kCounter

if TYPE_CHECKING:
    from openai import Omit, OpenAI, Stream

OPENAI_URL = "https://api.openai.com/v1"
PLACEHOLDER_KEY = "no-key"
"""Sent where no key is known: the SDK wants one, and would else take OPENAI_API_KEY's."""

_CONNECT_TIMEOUT_S = 10.0


class OpenAIBackend:
    """A model that is reached over HTTP.

    base_url: None means OpenAI itself, and then a key is needed. api_key: for that very place.
    """

    writes_summaries = True

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        stream: bool = True,
        timeout_s: float = 120,
        max_retries: int = 2,
        context_tokens: int | None = None,
    ) -> None:
        place = _shown_place(base_url)
        self.spec = f"openai:{name}" if base_url is None else f"openai:{name}@{place}"
        self.context_tokens = context_tokens
        self._name = name
        self._base_url = base_url
        self._key = _checked_key(api_key, base_url)
        self._stream = stream
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._counter = EstimateCounter()
        self._client: OpenAI | None = None
        self._provider = Provider(name, place, (self._key or "", *_secrets(base_url)))

    def count_tokens(self, text: str) -> int:
        return self._counter.count(text)

    def count_exactly(self, text: str) -> int:
        """By the vocabulary of OpenAI's models; of a model behind another URL only the estimate is known."""
        return self.count_tokens(text) if self._base_url is not None else O200kCounter().count(text)

    def complete(self, request: Request) -> Iterator[Delta | Reply]:
        """Stream a completion.

        A request is repeated only until its response begins; from then on a failure is the caller's.
        """
        known_ids = frozenset(call.id for page in request.pages for call in page.message.calls)
        assembler = ReplyAssembler(known_ids)
        payload = self._payload(request)
        with _errors_named(self._provider):
            yield from self._streamed(payload, assembler) if self._stream else self._at_once(payload, assembler)
        yield assembler.reply()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _at_once(self, payload: Json, assembler: ReplyAssembler) -> Iterator[Delta]:
        response = self._connected().post(
            "/chat/completions", cast_to=object, body=payload, options={"headers": self._headers()}
        )
        yield from self._whole(response, assembler)

    def _streamed(self, payload: Json, assembler: ReplyAssembler) -> Iterator[Delta]:
        from openai import Stream

        stream = self._connected().post(
            "/chat/completions",
            cast_to=object,
            body=payload,
            options={"headers": self._headers()},
            stream=True,
            stream_cls=Stream[object],
        )
        try:
            if "json" in stream.response.headers.get("content-type", ""):
                # Some servers do not stream, whatever they are asked.
                yield from self._whole(stream.response.read().decode("utf-8", "replace"), assembler)
            else:
                yield from self._events(stream, assembler)
        finally:
            stream.close()

    def _events(self, stream: Stream[object], assembler: ReplyAssembler) -> Iterator[Delta]:
        heard = False
        for event in stream:
            if not is_object(event):
                raise malformed(self._provider, "something that is no completion")
            heard = True
            yield from assembler.feed(event)
        if not heard:
            raise malformed(self._provider, "nothing that is a completion")
        if not assembler.finished:
            raise ConnectionFailed(f"{self._provider.place} broke off in the middle of its reply.")

    def _whole(self, response: object, assembler: ReplyAssembler) -> Iterator[Delta]:
        """A completion in one piece: read from JSON, or text where the server called it something else."""
        body = parse_object(response) if isinstance(response, str) else response
        if not is_object(body):
            raise malformed(self._provider, "something that is not JSON")
        if error := body.get("error"):
            raise error_from_status(self._provider, 0, error)
        if not holds_completion(body):
            raise malformed(self._provider, "JSON that is no completion")
        yield from assembler.feed(body)

    def _payload(self, request: Request) -> Json:
        limit_name = "max_completion_tokens" if self._base_url is None else "max_tokens"
        payload: Json = {
            "model": self._name,
            "messages": render_messages(request),
            limit_name: request.max_output_tokens,
        }
        if request.tools:
            payload["tools"] = render_tools(request.tools)
            payload["tool_choice"] = "auto" if request.purpose == "turn" else "none"
        if self._stream:
            payload["stream"] = True
            payload["stream_options"] = {"include_usage": True}
        return payload

    def _headers(self) -> dict[str, str | Omit]:
        """What keeps a named server from being told what the environment holds for OpenAI."""
        from openai import Omit

        if self._base_url is None:
            return {}
        custom = (line.partition(":")[0].strip() for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n"))
        names = ("OpenAI-Organization", "OpenAI-Project", *(name for name in custom if name))
        return {**{name: Omit() for name in names}, "Authorization": f"Bearer {self._key or PLACEHOLDER_KEY}"}

    def _connected(self) -> OpenAI:
        if self._client is None:
            from openai import OpenAI, Timeout

            self._client = OpenAI(
                api_key=self._key or PLACEHOLDER_KEY,
                base_url=self._base_url or OPENAI_URL,
                timeout=Timeout(self._timeout_s, connect=min(self._timeout_s, _CONNECT_TIMEOUT_S)),
                max_retries=self._max_retries,
            )
        return self._client


@contextmanager
def _errors_named(provider: Provider) -> Generator[None, None, None]:
    """Turn what the SDK raises into our errors; the cause is dropped, for it may quote a header."""
    import openai

    try:
        yield
    except openai.APITimeoutError:
        raise ConnectionFailed(f"{provider.place} did not answer in time.") from None
    except openai.APIConnectionError:
        raise ConnectionFailed(f"Cannot reach {provider.place}: is the server running?") from None
    except openai.APIStatusError as error:
        raise error_from_status(provider, error.status_code, error.body) from None
    except openai.APIError as error:
        raise error_from_status(provider, 0, error.body) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise malformed(provider, "something that is not JSON") from None


def _checked_key(key: str | None, base_url: str | None) -> str | None:
    """The key, fit for a header; raises `SettingsError` where OpenAI's is missing."""
    key = key.strip() if key else None
    if base_url is None and not key:
        raise SettingsError(
            "No key for OpenAI: set OPENAI_API_KEY, or name a server of your own with openai:NAME@BASE_URL."
        )
    if key and not (key.isascii() and key.isprintable()):
        raise SettingsError("The key for the model holds characters that no key has: copy it anew.")
    return key


def _secrets(base_url: str | None) -> tuple[str, ...]:
    """What a URL holds that no error line may tell: user and password, as written and as sent, and the query."""
    parts = urlsplit(base_url or "")
    user, password = parts.username or "", parts.password or ""
    pairs = [(user, password), (unquote(user), unquote(password))] if password else []
    values = [value for _, value in parse_qsl(parts.query)]
    return (*(f"{user}:{password}" for user, password in pairs), *(password for _, password in pairs), *values)


def _shown_place(base_url: str | None) -> str:
    """The server's address as error lines show it: no user, no password, no query."""
    if base_url is None:
        return "OpenAI"
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("openai:NAME@BASE_URL: the URL must read like http://localhost:8000/v1.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
