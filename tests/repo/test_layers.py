"""Each module imports only from layers before its own, and a heavy library only where it is adapted."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"memos": "memos"} | {name: f"memos.{name}" for name in ("tools", "storage", "prompts", "cli")}

ORDER = (
    *(
        "errors",
        "messages",
        "events",
        "hits",
        "tokens",
        "records",
        "limits",
        "ports",
        "settings",
        "prompts",
        "clock",
        "accept",
        "citations",
    ),
    *(
        "core_memory",
        "context",
        "summaries",
        "pager",
        "requests",
        "learned",
        "speech",
        "listener",
        "tooling",
        "loop",
        "turns",
        "controller",
    ),
    "adapters",
    *("home", "build", "agent", "ask", "__init__", "cli", "__main__"),
)
"""A module imports only what stands before it here, or its own package."""
ADAPTERS = ("storage", "backends", "documents", "tools")
"""They know the kernel's ports, and not each other."""
RANKS = {name: rank for rank, name in enumerate(ORDER)} | dict.fromkeys(ADAPTERS, ORDER.index("adapters"))
RANKS[""] = RANKS["__init__"]

HEAVY = {
    "alembic": ("memos.storage",),
    "filelock": ("memos.storage",),
    "json_repair": ("memos.tooling", "memos.backends"),
    "lancedb": ("memos.storage",),
    "llama_cpp": ("memos.backends",),
    "numpy": ("memos.storage", "memos.backends"),
    "openai": ("memos.backends",),
    "platformdirs": ("memos.settings",),
    "prompt_toolkit": ("memos.cli",),
    "pyarrow": ("memos.storage",),
    "pypdfium2": ("memos.documents",),
    "rich": ("memos.cli",),
    "semantic_text_splitter": ("memos.documents", "memos.storage"),
    "sqlalchemy": ("memos.storage",),
    "tiktoken": ("memos.tokens", "memos.backends"),
    "tokenizers": ("memos.storage", "memos.backends"),
}
"""The only places that may import these, and only inside the function that needs them."""
AT_MODULE_LEVEL = {
    "alembic": ("memos.storage.migrate", "memos.storage.migrations"),  # themselves imported only to migrate
    "filelock": ("memos.storage",),
    "sqlalchemy": ("memos.storage",),
}


class Import(NamedTuple):
    """What one import statement names, and how far it reaches."""

    target: str
    line: int
    deferred: bool
    typing_only: bool


def source_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from source_files(path)
        elif path.suffix == ".py":
            yield path


def module_name(folder: str, path: Path) -> str:
    parts = path.relative_to(ROOT / folder).with_suffix("").parts
    return ".".join((FOLDERS[folder], *parts)).removesuffix(".__init__")


MODULES = {module_name(folder, path): path for folder in FOLDERS for path in source_files(ROOT / folder)}


def part(module: str) -> str:
    """The piece of the program a module belongs to: its first name below memos."""
    return module.partition("memos")[2].lstrip(".").partition(".")[0]


def imports(module: str) -> list[Import]:
    found: list[Import] = []
    collect(ast.parse(MODULES[module].read_text(encoding="utf-8")), found, deferred=False, typing_only=False)
    return found


def collect(node: ast.AST, found: list[Import], *, deferred: bool, typing_only: bool) -> None:
    if isinstance(node, ast.Import):
        found += [Import(name.name, node.lineno, deferred, typing_only) for name in node.names]
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            raise AssertionError(f"line {node.lineno}: a relative import; name the module in full")
        targets = [f"{node.module}.{name.name}" for name in node.names]
        found += [Import(target, node.lineno, deferred, typing_only) for target in targets]
    deferred = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        collect(child, found, deferred=deferred, typing_only=typing_only or guarded)


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_the_walk_finds_the_program() -> None:
    assert {"memos", "memos.errors", "memos.storage.database", "memos.tools.core", "memos.cli.app"} <= MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_place(module: str) -> None:
    assert part(module) in RANKS, f"{module}: name it in ORDER, at the place where it belongs"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_layers_before_it(module: str) -> None:
    own = part(module)
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{line}: {own or 'memos'} imports {target}"
        for target, line, _, _ in imports(module)
        if target.split(".")[0] == "memos"
        and (other := part(target if target in MODULES or part(target) in RANKS else "memos")) != own
        and RANKS.get(other, -1) >= RANKS[own]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_stay_in_their_adapters(module: str) -> None:
    wrong: list[str] = []
    for target, line, deferred, typing_only in imports(module):
        library = target.split(".")[0]
        if library not in HEAVY or typing_only:
            continue
        where = f"{MODULES[module].relative_to(ROOT)}:{line}: {library}"
        if not within(module, HEAVY[library]):
            wrong.append(f"{where} may be imported only in {', '.join(HEAVY[library])}")
        elif not deferred and not within(module, AT_MODULE_LEVEL.get(library, ())):
            wrong.append(f"{where} is heavy: import it inside the function that needs it")
    assert not wrong, "\n".join(wrong)
