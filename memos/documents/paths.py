"""Named paths to the files they stand for: folders are walked, nothing is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memos.documents.sections import problem, reading
from memos.errors import DocumentError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path to read, or the reason why it leads to none."""

    path: Path
    error: DocumentError | None = None


def expand(paths: Sequence[Path | str]) -> list[Candidate]:
    """Each path once, absolute, folders replaced by their files in order of name."""
    found: dict[Path, Candidate] = {}
    for named in paths:
        path = Path(named).absolute()
        candidates = list(_walk(path))
        if not candidates:
            candidates = [Candidate(path, problem(path, "holds no files; name a folder with documents in it."))]
        for candidate in candidates:
            found.setdefault(candidate.path, candidate)
    return list(found.values())


def _walk(root: Path) -> Iterator[Candidate]:
    """Hidden entries are skipped, and folders already seen: links may lead back up."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if not _is_folder(path):
            yield Candidate(path)
            continue
        try:
            with reading(path):
                status = path.stat()
                children = sorted(path.iterdir(), reverse=True)
        except DocumentError as error:
            yield Candidate(path, error)
            continue
        identity = (status.st_dev, status.st_ino)
        if identity not in seen:
            seen.add(identity)
            waiting += [child for child in children if not child.name.startswith(".")]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a folder above it may not be entered: reading it will say so
        return False
