"""The house: no import upward, no I/O in the core, public names guarded, one verb one name, a README that runs."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import safemig

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "safemig"

# From the ground up: a module imports from floors below its own, and never from a neighbour on its own floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("secrets",),
    ("chain", "whole_files", "errors", "fault_points", "lazy_import", "result", "commands"),
    ("settings_file", "identity", "connection_urls"),
    ("sql", "load_facts", "fleet_facts"),
    ("review", "schema", "workload_facts"),
    ("results", "settings_file"),
    ("live",),
    ("settings", "views", "postgres"),
    ("migrations", "notifications", "terminal"),
    ("execution",),
    ("workload",),
    ("approval", "backups", "copies"),
    ("operations",),
    ("fleet",),
    ("records",),
    ("project",),
    ("demo",),
    ("cli", "notebook"),
    ("__main__",),
    ("__init__",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# The core answers the same for the same input, anywhere: no server, no process, no clock, no chance, no terminal.
CORE = {
    "errors",
    "lazy_import",
    "result",
    "sql",
    "review",
    "schema",
    "workload_facts",
    "load_facts",
    "fleet_facts",
    "results",
    "views",
}
NOT_IN_THE_CORE = {
    "asyncio", "click", "IPython", "jupyter_client", "nbclient", "nbformat", "papermill", "psycopg", "random", "shutil",
    "socket", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
CALLS_NOT_IN_THE_CORE = {
    "print", "input", "open", "now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes", "unlink",
    "mkdir", "getenv", "system",
}  # fmt: skip


def room_of(module: str) -> str:
    """Return the room of a module's name: `sql` of `safemig.sql.parsing`, `__init__` of `safemig` itself."""
    return [*module.split("."), "__init__"][1]


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute name) of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "safemig" else [module]
            yield from ((node.lineno, name) for name in names)


def imports_upward(module: str, source: str) -> list[str]:
    """Return what `module` (such as `safemig.sql.parsing`) imports that it must not, a sentence each."""
    room = room_of(module)
    problems = []
    for line, name in imports_of(ast.parse(source)):
        if name.split(".")[0] != "safemig" or name == "safemig.__version__":
            continue
        other = room_of(name)
        other = other if other in FLOOR_OF else "__init__"
        if other != room and FLOOR_OF[other] >= FLOOR_OF[room]:
            problems.append(f"{module}, line {line}: {room} must not import {name}")
    return problems


def io_in_the_core(module: str, source: str) -> list[str]:
    """Return the imports and calls by which a module of the core would reach outside, a sentence each."""
    tree = ast.parse(source)
    problems = [
        f"{module}, line {line}: the core must not import {name}"
        for line, name in imports_of(tree)
        if name.split(".")[0] in NOT_IN_THE_CORE
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in CALLS_NOT_IN_THE_CORE:
                problems.append(f"{module}, line {node.lineno}: the core must not call {called}()")
    return problems


def modules() -> dict[str, str]:
    """Return every module's source, by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def test_every_module_has_its_floor() -> None:
    rooms = {room_of(name) for name in modules()}
    assert rooms <= set(FLOOR_OF), "a new room needs its floor in FLOORS"


def test_no_module_imports_upward_or_from_a_neighbour() -> None:
    assert [problem for name, source in modules().items() for problem in imports_upward(name, source)] == []


def test_the_core_does_no_input_and_output() -> None:
    core = {name: source for name, source in modules().items() if room_of(name) in CORE}
    assert len(core) > 10
    assert [problem for name, source in core.items() for problem in io_in_the_core(name, source)] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("safemig.sql.parsing", "import safemig.postgres.connection.connect"),
        ("safemig.sql.parsing", "from safemig import project"),
        ("safemig.sql.parsing", "import safemig"),
        ("safemig.schema.model", "from safemig.review import Review"),
        ("safemig.review", "from safemig.schema import SchemaDiff"),
        ("safemig.views.in_text", "def draw():\n    from safemig.operations.review import review"),
        ("safemig.postgres.dump.plain", "from safemig.migrations import Migration"),
        ("safemig.operations.review", "from safemig.records import run_runbook"),
        ("safemig.execution.steps", "from safemig.approval.plan import Plan"),
        ("safemig.copies.shadow", "from safemig.backups.manifest import read_manifest"),
        ("safemig.project", "from safemig.cli import main"),
        ("safemig.cli", "import safemig.notebook.magics"),
    ],
)
def test_an_import_upward_is_found(module: str, source: str) -> None:
    assert len(imports_upward(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("safemig.sql.parsing", "from safemig.errors import SafemigError"),
        ("safemig.operations.review", "from safemig.postgres.connection.connect import connected"),
        ("safemig.cli", "from safemig import __version__"),
        ("safemig.schema.diff", "from safemig.schema.model import Id"),
        ("safemig", "from safemig.project import Project"),
    ],
)
def test_an_import_downward_is_fine(module: str, source: str) -> None:
    assert imports_upward(module, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import psycopg",
        "from psycopg.rows import dict_row",
        "import time",
        "def f():\n    import subprocess",
        "from datetime import datetime\nstamp = datetime.now()",
        "from pathlib import Path\ntext = Path('x').read_text()",
        "print('x')",
    ],
)
def test_input_and_output_in_the_core_is_found(source: str) -> None:
    assert len(io_in_the_core("safemig.sql.parsing", source)) == 1


# The public names ---------------------------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    assert safemig.__all__ == [
        "Project", "Review", "SafemigError", "SchemaDiff", "Verdict", "__version__", "diff", "load_ipython_extension",
        "review_sql",
    ]  # fmt: skip
    for name in safemig.__all__:
        assert getattr(safemig, name) is not None
    assert dir(safemig) == safemig.__all__


@pytest.mark.parametrize("name", [each.name for each in pkgutil.walk_packages(safemig.__path__, "safemig.")])
def test_every_module_can_be_imported_and_has_what_it_promises(name: str) -> None:
    if name.rsplit(".", 1)[-1] in ("__main__", "server_supervisor"):
        return  # programs: importing them would run them
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says in its first line what it is"
    for exported in getattr(module, "__all__", []):
        assert hasattr(module, exported), f"{name}.__all__ names {exported}, which it has not"


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools_misc"}
    assert [name for name in modules() if drawers & set(name.split("."))] == []


def test_importing_safemig_and_loading_the_magics_is_light() -> None:
    import subprocess
    import sys

    heavy = "{'pandas', 'papermill', 'nbconvert', 'ipywidgets', 'psycopg', 'pglast', 'pydantic'}"
    code = f"import sys, safemig; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# What is in the tree ------------------------------------------------------------------------------------------------


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every text file of the project."""
    skipped = {
        ".git", "__pycache__", ".venv", "build", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    }  # fmt: skip
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        if path.is_file() and not skipped & set(inside.parts) and not inside.parts[0].endswith(".egg-info"):
            try:
                yield inside, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_nothing_names_a_folder_of_one_machine() -> None:
    # Put together here, so that this file does not name one itself.
    homes = re.compile(
        "|".join((r"(?<![\w.])/ho" + r"me/[a-z]", r"(?<![\w.])/Us" + r"ers/[a-z]", r"(?<![\w.])/wo" + r"rk/"))
    )
    found = [
        f"{path}: {line.strip()[:100]}" for path, text in texts() for line in text.splitlines() if homes.search(line)
    ]
    assert found == []


def test_runbooks_hold_no_outputs_and_all_notebooks_have_named_cells() -> None:
    import nbformat

    notebooks = [
        path for folder in ("notebooks", "runbooks", "safemig/demo") for path in (ROOT / folder).glob("*.ipynb")
    ]
    assert len(notebooks) >= 10
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5), path.name
        assert notebook.metadata.kernelspec.name == "python3", path.name
        for cell in notebook.cells:
            if path.parent.name != "notebooks":  # the tutorials keep theirs: see tests/test_tutorials.py
                assert not cell.get("outputs"), f"{path.name}, cell {cell.id}: holds outputs"
                assert cell.get("execution_count") is None, f"{path.name}, cell {cell.id}: was executed"
            assert re.fullmatch(r"[a-z0-9-]+", cell.id), f"{path.name}: cell {cell.id} has no name"


# One verb, one name -------------------------------------------------------------------------------------------------

README = (ROOT / "README.md").read_text(encoding="utf-8")
VERBS = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", README, re.MULTILINE)


def test_the_table_names_the_contract() -> None:
    assert [verb for verb, *_ in VERBS] == [
        "init", "demo", "generate", "review", "rehearse", "backup_prod", "migrate_staging", "migrate_prod", "rollback_prod",
        "restore_prod", "sync_prod", "baseline_prod", "base", "workload", "db_status", "doctor", "fleet_status", "fleet_plan",
        "fleet_migrate", "fleet_rollback", "fleet_backup", "schema_diff", "deployments", "config", "deploy_help",
    ]  # fmt: skip


def command(words: str) -> tuple[click.Command, list[str]]:
    """Return the command of `safemig <words>` and its arguments."""
    from safemig.cli import safemig as group

    _, verb, *arguments = shlex.split(words.replace("[FILE...]", "").replace("...", "x"))
    assert isinstance(group, click.Group)
    found = group.get_command(click.Context(group), verb)
    assert found is not None, f"there is no safemig {verb}"
    return found, arguments


@pytest.mark.parametrize(("verb", "magic", "cli", "runbook", "does"), VERBS, ids=[row[0] for row in VERBS])
def test_each_verb_has_its_method_magic_command_and_runbook(
    verb: str, magic: str, cli: str, runbook: str, does: str
) -> None:
    from safemig.records.papermill_io import runbooks_folder

    if verb != "demo":
        assert callable(getattr(safemig.Project, verb)), f"Project.{verb}"
        assert getattr(safemig.Project, verb).__doc__, f"Project.{verb} says what it does"
    line, cell = magics()
    for name in re.findall(r"`(%%?)(\w+)", magic):
        assert name[1] in (cell if name[0] == "%%" else line), "".join(name)
    for words in re.findall(r"`(safemig .+?)`", cli):
        found, _ = command(words)
        assert found.help, f"{words} has its help"
    if runbook != "-":
        assert runbook == f"`{verb}.ipynb`"
        assert (runbooks_folder() / f"{verb}.ipynb").is_file()
    else:
        assert not (runbooks_folder() / f"{verb}.ipynb").is_file()
    assert does


def test_no_magic_command_or_runbook_is_missing_in_the_table() -> None:
    from safemig.cli import safemig as group
    from safemig.records.papermill_io import runbooks_folder

    line, cell = magics()
    table = "\n".join(" ".join(row) for row in VERBS)
    assert {f"%{name}" for name in line if f"`%{name}" not in table} == set()
    assert {f"%%{name}" for name in cell if f"`%%{name}" not in table} == set()
    assert {name for name in group.commands if f"`safemig {name}" not in README} == set()
    assert {path.name for path in runbooks_folder().glob("*.ipynb")} == {row[3].strip("`") for row in VERBS} - {"-"}


@functools.cache
def magics() -> tuple[set[str], set[str]]:
    """Return the names of safemig's line and cell magics, from a real shell of our own."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    plain = {kind: set(names) for kind, names in shell.magics_manager.magics.items()}
    shell.run_line_magic("load_ext", "safemig")
    loaded = shell.magics_manager.magics
    return set(loaded["line"]) - plain["line"], set(loaded["cell"]) - plain["cell"]
