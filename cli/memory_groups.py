"""The commands that open up what an agent remembers: log and memory.

Each function only names its options; the work lies in the module of that name, imported when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from memos.cli.groups import new_group
from memos.cli.options import AgentName, AsJson, Description, Label, LimitTokens, Model, Text
from memos.cli.session import Flags

log = new_group("Show what was said, what was paged out, and bring it back.")
memory = new_group("Show or change core memory: the blocks an agent always sees.")

_Receipt = Annotated[int, typer.Argument(metavar="RECEIPT", help="A number of `log receipts`.", show_default=False)]


@log.command("list", epilog="Example: memos log list --agent ada --last 50")
def log_list(
    agent: AgentName = None,
    last: Annotated[int, typer.Option("--last", min=1, metavar="N", help="How many of the newest messages.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest messages, oldest first."""
    from memos.cli import log as job

    job.list_newest(Flags(agent), last=last, as_json=as_json)


@log.command("receipts", epilog="Example: memos log receipts")
def log_receipts(agent: AgentName = None, as_json: AsJson = False) -> None:
    """List the flushes: what was paged out, when, and which of them stand."""
    from memos.cli import log as job

    job.receipts(Flags(agent), as_json=as_json)


@log.command("show", epilog="Example: memos log show 3 --messages")
def log_show(
    receipt: _Receipt,
    agent: AgentName = None,
    messages: Annotated[bool, typer.Option("--messages", help="Show the messages it covers too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one flush: the summary before it and the one it wrote."""
    from memos.cli import log as job

    job.show(receipt, Flags(agent), messages=messages, as_json=as_json)


@log.command("undo", epilog="Example: memos log undo --agent ada")
def log_undo(agent: AgentName = None) -> None:
    """Take the newest flush back: its messages return to the window."""
    from memos.cli import log as job

    job.undo(Flags(agent))


@log.command("page-in", epilog="Example: memos log page-in 12-15")
def log_page_in(
    messages: Annotated[
        str, typer.Argument(metavar="FIRST[-LAST]", help="Message numbers, both inclusive.", show_default=False)
    ],
    agent: AgentName = None,
) -> None:
    """Put old messages before the agent again, word for word."""
    from memos.cli import log as job

    job.page_in(messages, Flags(agent))


@log.command("requests", epilog="Example: memos log requests --json")
def log_requests(
    agent: AgentName = None,
    model: Model = None,
    turn: Annotated[
        int | None, typer.Option("--turn", metavar="ID", help="The message that opened the turn [default: the last].")
    ] = None,
    replay: Annotated[
        int | None,
        typer.Option("--replay", metavar="ID", help="Ask the model again what this reply answered; stores nothing."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show exactly what the model was sent in a turn, or send it again."""
    from memos.cli import past_requests as job

    job.run(Flags(agent, model), turn_id=turn, replay_id=replay, as_json=as_json)


@memory.command("list", epilog="Example: memos memory list")
def memory_list(agent: AgentName = None, as_json: AsJson = False) -> None:
    """List the blocks."""
    from memos.cli import memory as job

    job.list_all(Flags(agent), as_json=as_json)


@memory.command("show", epilog="Example: memos memory show human")
def memory_show(
    label: Label,
    agent: AgentName = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="A number of `memory history` [default: the newest].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a block says."""
    from memos.cli import memory as job

    job.show(label, Flags(agent), version=version, as_json=as_json)


@memory.command("edit", epilog='Example: memos memory edit human --text "Ada collects trilobites."')
def memory_edit(
    label: Label,
    source: Annotated[
        str | None, typer.Argument(metavar="[-]", help="- reads standard input.", show_default=False)
    ] = None,
    text: Text = None,
    agent: AgentName = None,
) -> None:
    """Write a block anew; with no text, in your $EDITOR."""
    from memos.cli import memory as job

    job.edit(label, Flags(agent), text=text, source=source)


@memory.command("append", epilog='Example: memos memory append human "Lives in Turin."')
def memory_append(
    label: Label,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A line to add; - reads standard input.", show_default=False)
    ],
    agent: AgentName = None,
) -> None:
    """Add a line to a block."""
    from memos.cli import memory as job

    job.append(label, text, Flags(agent))


@memory.command("new", epilog='Example: memos memory new tasks --description "What is to be done."')
def memory_new(
    label: Label,
    text: Text = None,
    limit_tokens: LimitTokens = None,
    description: Description = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="The model may read it only.")] = False,
    agent: AgentName = None,
) -> None:
    """Add a block; without a limit it gets a twentieth of the window."""
    from memos.cli import memory as job

    job.new(
        label, Flags(agent), text=text, limit_tokens=limit_tokens, description=description or "", read_only=read_only
    )


@memory.command("configure", epilog="Example: memos memory configure human --limit-tokens 600")
def memory_configure(
    label: Label,
    limit_tokens: LimitTokens = None,
    description: Description = None,
    read_only: Annotated[
        bool | None, typer.Option("--read-only/--writable", help="Whether the model may read it only.")
    ] = None,
    agent: AgentName = None,
) -> None:
    """Change what a block is, not what it says."""
    from memos.cli import memory as job

    job.configure(label, Flags(agent), limit_tokens=limit_tokens, description=description, read_only=read_only)


@memory.command("history", epilog="Example: memos memory history human")
def memory_history(label: Label, agent: AgentName = None, as_json: AsJson = False) -> None:
    """List every version a block has had, and what made it."""
    from memos.cli import memory as job

    job.history(label, Flags(agent), as_json=as_json)


@memory.command("diff", epilog="Example: memos memory diff human --from 3 --to 9")
def memory_diff(
    label: Label,
    old: Annotated[
        int | None, typer.Option("--from", metavar="N", help="The older version [default: the one before].")
    ] = None,
    new: Annotated[
        int | None, typer.Option("--to", metavar="N", help="The newer version [default: the newest].")
    ] = None,
    agent: AgentName = None,
) -> None:
    """Show what changed between two versions of a block."""
    from memos.cli import memory as job

    job.diff(label, Flags(agent), old=old, new=new)


@memory.command("restore", epilog="Example: memos memory restore human 3")
def memory_restore(
    label: Label,
    version: Annotated[
        int, typer.Argument(metavar="VERSION", help="A number of `memory history`.", show_default=False)
    ],
    agent: AgentName = None,
) -> None:
    """Make an earlier version of a block the newest."""
    from memos.cli import memory as job

    job.restore(label, version, Flags(agent))


@memory.command("share", epilog="Example: memos memory share human --with bob")
def memory_share(
    label: Label,
    other: Annotated[
        str, typer.Option("--with", metavar="AGENT", help="The agent that is to hold it too.", show_default=False)
    ],
    agent: AgentName = None,
) -> None:
    """Let another agent hold the same block too."""
    from memos.cli import memory as job

    job.share(label, other, Flags(agent))


@memory.command("remove", epilog="Example: memos memory remove tasks")
def memory_remove(
    label: Label,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    agent: AgentName = None,
) -> None:
    """Take a block away from an agent; asks first."""
    from memos.cli import memory as job

    job.remove(label, Flags(agent), yes=yes)
