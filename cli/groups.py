"""The commands that have commands of their own: agents, documents, config.

Each function only names its options; the work lies in the module of that name, imported when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from memos.cli.options import AgentArgument, AsJson, DocumentArgument


def new_group(help_text: str) -> typer.Typer:
    """A command that has commands; what it means alone stands in `app.DEFAULT_COMMANDS`."""
    return typer.Typer(help=help_text, no_args_is_help=False, rich_markup_mode=None)


agents = new_group("List, show, create, rename or delete agents.")
documents = new_group("List, show, print or remove documents.")
config = new_group("Show or change settings.")


@agents.command("list", epilog="Example: memos agents list")
def agents_list(as_json: AsJson = False) -> None:
    """List the agents of this home."""
    from memos.cli import agents as job

    job.list_all(as_json=as_json)


@agents.command("show", epilog="Example: memos agents show ada --json")
def agents_show(name: AgentArgument, as_json: AsJson = False) -> None:
    """Show one agent's figures."""
    from memos.cli import agents as job

    job.show(name, as_json=as_json)


@agents.command("new", epilog="Example: memos agents new ada --persona curator")
def agents_new(
    name: AgentArgument,
    persona: Annotated[
        str | None,
        typer.Option("--persona", metavar="NAME", help="Who it is: personas/NAME.md beside your settings file."),
    ] = None,
    human: Annotated[
        str | None,
        typer.Option("--human", metavar="NAME", help="What it knows of you: humans/NAME.md beside your settings file."),
    ] = None,
) -> None:
    """Create an agent."""
    from memos.cli import agents as job

    job.new(name, persona=persona, human=human)


@agents.command("rename", epilog="Example: memos agents rename ada lovelace")
def agents_rename(
    name: AgentArgument,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="Its name from now on.", show_default=False)],
) -> None:
    """Give an agent another name."""
    from memos.cli import agents as job

    job.rename(name, new_name)


@agents.command("delete", epilog="Example: memos agents delete ada --yes")
def agents_delete(
    name: AgentArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an agent with all it remembers; asks first."""
    from memos.cli import agents as job

    job.delete(name, yes=yes)


@documents.command("list", epilog="Example: memos documents list --json")
def documents_list(as_json: AsJson = False) -> None:
    """List the documents of this home."""
    from memos.cli import documents as job

    job.list_all(as_json=as_json)


@documents.command("show", epilog="Example: memos documents show thesis.pdf")
def documents_show(name: DocumentArgument, as_json: AsJson = False) -> None:
    """Show one document's figures."""
    from memos.cli import documents as job

    job.show(name, as_json=as_json)


@documents.command("text", epilog="Example: memos documents text thesis.pdf > thesis.txt")
def documents_text(name: DocumentArgument) -> None:
    """Print the extracted text that offsets and lines refer to."""
    from memos.cli import documents as job

    job.text(name)


@documents.command("remove", epilog="Example: memos documents remove thesis.pdf")
def documents_remove(name: DocumentArgument) -> None:
    """Take a document out of memory; the file is not touched."""
    from memos.cli import documents as job

    job.remove(name)


@config.command("show", epilog="Example: memos config show")
def config_show(as_json: AsJson = False) -> None:
    """Show every setting in force and where it came from."""
    from memos.cli import config as job

    job.show(as_json=as_json)


@config.command("path", epilog="Example: memos config path")
def config_path() -> None:
    """Print where your settings file lies."""
    from memos.cli import config as job

    job.path()


@config.command("set", epilog="Example: memos config set model openai:gpt-4.1-mini")
def config_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A setting, as `config show` lists it.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help='Its value; "" goes back to the default.')],
) -> None:
    """Write one setting into your settings file."""
    from memos.cli import config as job

    job.set_value(name, value)


@config.command("trust", epilog="Example: memos config trust")
def config_trust() -> None:
    """Trust the memos.toml of this folder, as it stands now, to name servers and files."""
    from memos.cli import config as job

    job.trust()
