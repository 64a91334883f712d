"""The command `memos`: reads the command line, runs one command, and turns errors into exit codes.

Each command's own module is imported when it runs, so that `memos --help` needs only Typer.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from memos.cli import groups, memory_groups, output
from memos.cli.options import AgentName, AsJson, ContextTokens, Loop, Model, SourcePaths
from memos.cli.session import Flags
from memos.cli.stream import EXIT_FAILED, EXIT_INTERRUPTED
from memos.errors import MemosError

app = typer.Typer(
    name="memos",
    help="An operating system for a language model's memory. `memos` alone starts a conversation.",
    epilog="`memos COMMAND --help` shows a command's options and an example.",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(memory_groups.log, name="log")
app.add_typer(memory_groups.memory, name="memory")
app.add_typer(groups.agents, name="agents")
app.add_typer(groups.documents, name="documents")
app.add_typer(groups.config, name="config")

DEFAULT_COMMANDS = {
    "": "chat",
    "log": "list",
    "memory": "list",
    "agents": "list",
    "documents": "list",
    "config": "show",
}
"""What a group means when no command of it is named."""


def main() -> int:
    """Run the command line; returns the exit code. The outer edge: nothing passes it but a code."""
    output.prepare_streams()
    try:
        code: object = app(with_default_command(sys.argv[1:]), prog_name="memos", standalone_mode=False)
    except MemosError as error:
        output.note_error(str(error))
        return error.exit_code
    except typer.TyperException as error:
        output.note_error(_usage_line(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outer edge
        return _unexpected(error)
    return code if isinstance(code, int) else 0


def with_default_command(arguments: list[str]) -> list[str]:
    """`memos --model X` is `memos chat --model X`, `memos agents` is `memos agents list`."""
    group = arguments[0] if arguments and arguments[0] in DEFAULT_COMMANDS else ""
    head = 1 if group else 0
    rest = arguments[head:]
    if rest and (not rest[0].startswith("-") or rest[0] in {"--help", "--version"}):
        return arguments
    return [*arguments[:head], DEFAULT_COMMANDS[group], *rest]


def _usage_line(error: typer.TyperException) -> str:
    """What is wrong with the command line, and where its help is."""
    command: object = getattr(getattr(error, "ctx", None), "command_path", "memos")
    problem = error.format_message()
    return f"{problem}{'' if problem.endswith(('.', '?')) else '.'} `{command} --help` shows how."


def _unexpected(error: Exception) -> int:
    if os.environ.get("MEMOS_DEBUG"):
        import traceback

        output.note("".join(traceback.format_exception(error)))
    output.note_error(
        f"unexpected error, please report it: {type(error).__name__}: {error}. "
        "With MEMOS_DEBUG=1 in the environment it comes with its traceback."
    )
    return EXIT_FAILED


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        output.emit(f"memos {version('memos-agent')}")
    except PackageNotFoundError:
        output.emit("memos, not installed")
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before any command."""


@app.command(epilog="Example: memos chat --agent ada --model openai:gpt-4.1-mini")
def chat(agent: AgentName = None, model: Model = None, loop: Loop = None, context_tokens: ContextTokens = None) -> None:
    """Talk with an agent. Ctrl-C stops an answer, Ctrl-D or /exit leaves."""
    from memos.cli import chat as job

    job.run(Flags(agent, model, loop, context_tokens))


@app.command(epilog='Example: memos send "My name is Ada and I collect trilobites."')
def send(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What to say; - reads standard input.", show_default=False)
    ],
    agent: AgentName = None,
    model: Model = None,
    loop: Loop = None,
    context_tokens: ContextTokens = None,
    as_json: AsJson = False,
    stream_json: Annotated[
        bool, typer.Option("--stream-json", help="Print each event, as it happens, as JSON.")
    ] = False,
) -> None:
    """Say one thing to the agent and print its reply."""
    from memos.cli import send as job

    job.run(text, Flags(agent, model, loop, context_tokens), as_json=as_json, stream_json=stream_json)


@app.command(epilog='Example: memos ask "Where does Nick live?" gatsby.txt')
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to find out.", show_default=False)],
    paths: SourcePaths,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from documents, with citations."""
    from memos.cli import ask as job

    job.run(question, paths, Flags(model=model), as_json=as_json)


@app.command(epilog="Example: memos ingest thesis.pdf notes/")
def ingest(paths: SourcePaths, agent: AgentName = None, as_json: AsJson = False) -> None:
    """Load documents, so that the agent can search and open them."""
    from memos.cli import ingest as job

    job.run(paths, Flags(agent), as_json=as_json)


@app.command(epilog="Example: memos search trilobites --in recall --limit 3")
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words to look for.", show_default=False)],
    agent: AgentName = None,
    tier: Annotated[
        Literal["recall", "archival", "documents", "all"],
        typer.Option("--in", help="Where to look; archival reaches the documents too."),
    ] = "all",
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="The most hits to print.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Search an agent's conversation, archive and documents."""
    from memos.cli import search as job

    job.run(query, Flags(agent), tier=tier, limit=limit, as_json=as_json)


@app.command(epilog="Example: memos context --agent ada")
def context(agent: AgentName = None, as_json: AsJson = False) -> None:
    """Show what fills the agent's context window now, by section."""
    from memos.cli import context as job

    job.run(Flags(agent), as_json=as_json)


@app.command(epilog="Example: memos doctor --json")
def doctor(model: Model = None, as_json: AsJson = False) -> None:
    """Check what is set up and what is missing."""
    from memos.cli import doctor as job

    job.run(Flags(model=model), as_json=as_json)
