"""Every error memos raises on purpose, as one tree ordered by who must act.

    MemosError
    ├── UsageError            the developer: a call that cannot mean anything
    ├── DocumentError         whoever named the file: missing, empty, unreadable, not a document
    ├── SettingsError         the user: a setting, a model, a key; the message holds the cure
    │   ├── AgentNotFound
    │   └── AgentBusy         another process holds the agent's turns
    ├── BackendError          the model's provider; `retryable` says whether trying again may help
    │   ├── CredentialsError
    │   ├── ConnectionFailed
    │   ├── RateLimited
    │   ├── ContextOverflow   the server says that the prompt is longer than its window
    │   ├── ServerFailed
    │   └── MalformedReply
    └── StorageError          the home: not writable, disk full, damaged, newer than the program

`Refusal` stands outside: a tool raises it to tell the *model* what to do instead, and
`memos.tooling` turns it into a `Failed` result. No user ever sees one as an error.
"""

from __future__ import annotations


class MemosError(Exception):
    """Root of every error memos raises on purpose; its text is one line that says what to do."""

    exit_code = 1
    """What the command line exits with when this error reaches its edge."""


class UsageError(MemosError):
    """A call that cannot mean anything: the developer, or whoever typed the command, must change it."""

    exit_code = 2


class DocumentError(MemosError):
    """A file that is missing, empty, unreadable, locked or not a document."""

    exit_code = 1


class SettingsError(MemosError):
    """A setting, model specification or key that the user must correct."""

    exit_code = 3


class AgentNotFound(SettingsError):
    """No agent of that name lives in this home."""


class AgentBusy(SettingsError):
    """Another process is taking this agent's turns."""


class BackendError(MemosError):
    """The model's provider could not or would not answer."""

    exit_code = 4
    retryable = False
    """Whether the same request may succeed later."""


class CredentialsError(BackendError):
    """The provider refused the key, or the key may not use this model."""


class ConnectionFailed(BackendError):
    """The provider could not be reached, or the connection broke or timed out."""

    retryable = True


class RateLimited(BackendError):
    """The provider asks us to slow down, or a quota is used up."""

    retryable = True


class ContextOverflow(BackendError):
    """The provider says that the prompt is longer than its window."""

    def __init__(self, message: str, limit_tokens: int | None = None) -> None:
        super().__init__(message)
        self.limit_tokens = limit_tokens
        """The window the provider named, when it named one."""


class ServerFailed(BackendError):
    """The provider answered that the failure is its own (5xx)."""

    retryable = True


class MalformedReply(BackendError):
    """The provider answered something that is no completion."""

    retryable = True


class StorageError(MemosError):
    """The home cannot be read or written as it must be."""

    exit_code = 5


class Refusal(Exception):
    """A tool declines; the text tells the model what to do instead."""
