"""`memos doctor`: what is set up and what is missing."""

from __future__ import annotations

from dataclasses import asdict

import typer

from memos.cli import checks, output
from memos.cli.session import Flags, load
from memos.cli.stream import EXIT_FAILED


def run(flags: Flags, *, as_json: bool) -> None:
    """Print what was found; exits 0 when memos can be used as it is set up."""
    findings = checks.run_all(load(flags))
    usable = all(finding.state != "failed" for finding in findings)
    if as_json:
        output.emit_json({"usable": usable, "checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            output.emit(f"{finding.state:<8}{finding.name}: {finding.detail}")
            if finding.cure is not None:
                output.emit(f"{'':<8}-> {finding.cure}")
    if not usable:
        output.note_error("memos cannot be used as it is set up; see what failed above.")
        raise typer.Exit(EXIT_FAILED)
