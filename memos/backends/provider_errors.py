"""What a provider's error means to us: its status and codes to `BackendError`s.

Recognised by status, code and type, never by the English of a message. No line made here holds a
key. Pure: no SDK, no network.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memos.backends.assembly import is_object
from memos.errors import (
    BackendError,
    ContextOverflow,
    CredentialsError,
    MalformedReply,
    RateLimited,
    ServerFailed,
)

_OVERFLOW_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
"""OpenAI and many after it; llama-server, which calls it a type and once sent it with status 500."""

_DETAIL_LIMIT_CHARS = 200
_HIDDEN = "[key]"
_RUN_CHARS = 6
"""So much of a secret in a row is told to nobody; servers quote heads and tails of keys."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who answered, as error lines name it."""

    model: str
    place: str
    """The server's address, without anything secret in it."""
    secrets: tuple[str, ...] = ()
    """The key, and what else was sent that nobody else may know."""

    def redact(self, text: str) -> str:
        """One short line of a provider's words, without any longer piece of a secret, plain or in base64."""
        forms = [form for secret in self.secrets if secret for form in (secret, *_base64_forms(secret))]
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, _HIDDEN)
        line = " ".join(_without_runs(text, forms).split())
        return line if len(line) <= _DETAIL_LIMIT_CHARS else line[:_DETAIL_LIMIT_CHARS] + "…"


def _base64_forms(secret: str) -> Iterator[str]:
    """How it reads in base64, wherever in the encoded bytes it begins; without what its neighbours decide."""
    for before in range(3):
        data = b"\0" * before + secret.encode()
        known = slice((before * 8 + 5) // 6, len(data) * 8 // 6)
        yield base64.b64encode(data).decode()[known]
        yield base64.urlsafe_b64encode(data).decode()[known]


def _without_runs(text: str, forms: Sequence[str]) -> str:
    runs = {form[at : at + _RUN_CHARS] for form in forms for at in range(len(form) - _RUN_CHARS + 1)}
    kept: list[str] = []
    done = 0
    for at in range(len(text) - _RUN_CHARS + 1):
        if text[at : at + _RUN_CHARS] not in runs:
            continue
        if at > done or not kept:  # else it overlaps the run before
            kept += [text[done:at], _HIDDEN]
        done = at + _RUN_CHARS
    return "".join([*kept, text[done:]])


def error_from_status(provider: Provider, status: int, error: object) -> BackendError:
    """The error that an HTTP status and the provider's `error` object stand for.

    status: the response's; 0 where the error came inside a stream or a 200, then its code decides.
    """
    fields = error if is_object(error) else {}
    codes = {str(fields.get(name)) for name in ("code", "type")}
    if status == 413 or codes & _OVERFLOW_CODES:
        limit = fields.get("n_ctx")
        return ContextOverflow(
            f"{provider.place} says that the prompt is longer than the window of {provider.model}.",
            limit if isinstance(limit, int) else None,
        )
    code = fields.get("code")
    return _by_status(provider, status or (code if isinstance(code, int) else 0), provider.redact(_detail(error)))


def _by_status(provider: Provider, status: int, detail: str) -> BackendError:
    place, model = provider.place, provider.model
    if status == 401:
        # The provider's own line quotes parts of the key.
        return CredentialsError(f"{place} refuses the key: check OPENAI_API_KEY.")
    if status == 403:
        return CredentialsError(f"{place} does not let this key use {model}.")
    if status == 404:
        return BackendError(f"{place} has no such model as {model}, or the URL lacks its path (often /v1).")
    if status == 429:
        return RateLimited(f"{place} asks to slow down, or a quota is used up: {detail}")
    if status == 0 or status >= 500:
        return ServerFailed(f"{place} failed: {detail}")
    return BackendError(f"{place} refused the request ({status}): {detail}")


def malformed(provider: Provider, what: str) -> MalformedReply:
    """An answer that is no completion."""
    return MalformedReply(f"{provider.place} answered {what}: is it an OpenAI-compatible server?")


def _detail(error: object) -> str:
    if is_object(error):
        message = error.get("message")
        return message if isinstance(message, str) and message else "no reason given"
    return error if isinstance(error, str) and error else "no reason given"
