"""The site's reference pages, generated from the code when the site is built, so that they cannot be out of date.

MkDocs loads this file as a hook (see mkdocs.yml).
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import safemig.errors
import safemig.results
import safemig.review.model
import safemig.schema
import safemig.workload_facts
from safemig.errors import SafemigError
from safemig.execution.batches import MAKE_PROGRESS
from safemig.migrations.layouts import LAYOUTS
from safemig.operations.deploy_help import VERBS, deploy_help
from safemig.operations.settings_reference import settings_page
from safemig.postgres.history import MAKE_APPROVALS, MAKE_OURS, MAKE_SUPABASE
from safemig.postgres.resumable import MAKE_RESUMABLE
from safemig.result import Result
from safemig.review.reference import reference_page as rules_page
from safemig.views.frame_reference import frames_page

CODES = {
    0: "done, or safe",
    1: "a check said no; nothing was changed",
    2: "usage or settings are wrong, or a database cannot be reached or read; nothing was changed",
    3: "the deployment failed and was rolled back; nothing was changed",
    4: "it stopped part-way; the message names what is applied and the command that resumes it",
    5: "the outcome is unknown; the message says how to find out",
}
PURPOSES = {
    "supabase_migrations.schema_migrations": "The history of migrations: one row for each applied file. It is the table of the "
    "Supabase CLI, so both tools agree about what is applied.",
    "safemig.migrations": "The SHA-256 of each applied file, and the run that applied it.",
    "safemig.deployments": "One row for each act: who, when, which plan, the transaction ID, the schema fingerprints before and "
    "after, and the hash of the record.",
    "safemig.steps": "One row for each statement of a deployment: attempts, rows, run time, lock wait.",
    "safemig.approvals": "Approvals of a plan. Created only if `required_approvals` is greater than 1.",
    "safemig.resumable": "Progress of a deployment with several parts. Created only for such a deployment; its row is deleted once "
    "everything is applied.",
    "safemig.batches": "Progress of statements that run in batches. Created only if a migration declares batches.",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site. Called by MkDocs."""
    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def verbs_page() -> str:
    """Return every verb with its four names, its arguments and its options."""
    lines = ["# Verbs", ""]
    lines += ["Each verb has one name everywhere: the Python method, the magic, the command and the runbook.", ""]
    lines += [
        "`safemig --project DIR VERB` runs a verb for a project elsewhere. Each command has `--help`, `-q`, `-v` and `--no-color`.",
        "",
    ]
    group = _group()
    for verb in VERBS:
        command, name = _command(group, verb.command)
        lines += [f"## {name}", "", (command.help or "").split("\n\n")[0].replace("\n", " "), ""]
        lines += [f"```console\n$ {_usage(command, name)}\n```", ""]
        names = [f"Python: `project.{verb.method}()`"] if verb.method and verb.method != "init" else []
        names += ["Python: `safemig.Project.init()`"] if verb.method == "init" else []
        names += [f"notebook: `%{verb.magic}`"] if verb.magic else []
        names += [f"runbook: `{verb.runbook}.ipynb`"] if verb.runbook else []
        lines += [" · ".join(names), ""] if names else []
        if options := list(_options(command)):
            lines += ["| option | description |", "|---|---|", *options, ""]
    return "\n".join(lines).rstrip() + "\n"


def _group() -> click.Group:
    from safemig.cli import safemig as group

    return group


def _command(group: click.Group, words: str) -> tuple[click.Command, str]:
    """Return the command that a verb's words begin with, in a group or in a group of that, and how it is called."""
    command: click.Command = group
    name = "safemig"
    for word in words.split():
        if not isinstance(command, click.Group):
            break
        command, name = command.commands[word], f"{name} {word}"
    return command, name


def _usage(command: click.Command, name: str) -> str:
    return " ".join([name, *command.collect_usage_pieces(click.Context(command))])


def _options(command: click.Command) -> Iterator[str]:
    for each in command.params:
        if isinstance(each, click.Option) and not each.hidden:
            names = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
            # A bar would end the cell, and stays escaped within backticks.
            choices = each.make_metavar(click.Context(command)).replace("|", "&#124;")
            value = "" if each.is_flag else f" <code>{choices.replace('<', '&lt;')}</code>"
            default = each.default if isinstance(each.default, str) and each.default else ""
            words = (each.help or "").strip() or "Output format."
            yield f"| {names}{value} | {_plain(words)}{f' Default: `{default}`.' if default else ''} |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def exit_codes_page() -> str:
    """Return the exit codes, and the tree of errors with the code of each."""
    lines = ["# Exit codes and errors", "", "| exit code | meaning |", "|---|---|"]
    lines += [f"| {code} | {words} |" for code, words in CODES.items()]
    lines += [
        "",
        "`safemig status` and `safemig doctor` report a state: 0 all well; 1 drift, problems, or verbs that will not work; "
        "5 a database could not be reached.",
        "",
        "After a COMMIT, no command ends with 1 or 2.",
        "",
        "## Errors",
        "",
        "An error message has up to three lines: what happened, `where`, and `next`, the command or correction that helps.",
        "In Python, every error is a `safemig.errors.SafemigError` with the attributes `what`, `where`, `next` and `exit_code`.",
        "",
        "| error | exit code | meaning |",
        "|---|---|---|",
    ]
    for depth, kind in _tree(SafemigError):
        name = kind.__name__.removesuffix("Error")
        lines.append(f"| {'&emsp;' * depth}`{name}` | {kind.exit_code} | {_first_line(kind)} |")
    return "\n".join(lines) + "\n"


def _tree(kind: type[SafemigError], depth: int = 0) -> Iterator[tuple[int, type[SafemigError]]]:
    for each in kind.__subclasses__():
        if each.__module__ == safemig.errors.__name__:
            yield depth, each
            yield from _tree(each, depth + 1)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0].replace("|", "\\|")


def json_page() -> str:
    """Return the fields of every result, as JSON and the record have them."""
    # A dataclass with slots is a second class of the same name; both are subclasses.
    named = {(kind.__module__, kind.__name__): kind for kind in _results(Result)}
    kinds = sorted(named.values(), key=lambda kind: (kind.kind, kind.__name__))
    lines = ["# JSON output", ""]
    lines += [
        "`--format json` prints a result as one JSON object. `result.to_dict()` returns the same object in Python, and a record",
        "holds it in its outputs under the MIME type `application/vnd.safemig.KIND+json`. Times are ISO 8601 in UTC, durations",
        "seconds, sizes bytes.",
        "",
        "Every verb has it. Standard output holds exactly one object, also when the verb refuses, fails or is called wrongly;",
        "progress and the words for people go to standard error. The exit code is the same as without it.",
        "",
        "- `format` is `safemig/1`. Fields may be added in a release, so a reader must pass over those that it does not know. If one",
        "  goes or changes its meaning, the format becomes `safemig/2`.",
        "- `kind` says which object it is: one of the results below, or `error`.",
        "- `error` has `name`, `exit_code`, `what`, `where` and `next`, and in `result` what was found before the no.",
        "- A verb that leaves a record adds `record`: `verb`, `environment`, `verdict`, `exit_code`, `path`, `page`, `is_written`, and",
        "  in `undelivered` the notifications that failed.",
        "- `safemig review` prints cautions and dangers in `findings` and the rest in `recommendations`; a record has all in `findings`.",
        "- Events of [notifications](../how-to/notifications.md) have `kind` `event`.",
        "",
        "[safemig-1.schema.json](../safemig-1.schema.json) is the JSON Schema (draft 2020-12) of all of it, made from the code.",
        "",
        "```console",
        "$ safemig migrate-prod --format json | jq -r 'if .kind == \"error\" then .next else .record.path end'",
        "```",
        "",
    ]
    for kind in kinds:
        lines += [f"## {kind.kind}: {kind.__name__}", "", _first_line(kind), "", "| field | type |", "|---|---|"]
        lines += [f"| `{each.name.rstrip('_')}` | `{_type(each)}` |" for each in _fields(kind)]
        lines.append("")
    lines += ["## Parts", "", "What the types above consist of.", ""]
    for part in _parts():
        lines += [f"### {part.__name__}", "", _first_line(part), "", "| field | type |", "|---|---|"]
        lines += [f"| `{each.name.rstrip('_')}` | `{_type(each)}` |" for each in _fields(part)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _parts() -> list[type]:
    modules = (safemig.results, safemig.review.model, safemig.workload_facts)
    found = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and not issubclass(value, Result)
        and value.__module__ == module.__name__
    }
    return [found[name] for name in sorted(found) if not name.startswith("_")]


def _results(kind: type[Result]) -> Iterator[type[Result]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("safemig."):
            yield from _results(each)
            if dataclasses.is_dataclass(each):
                yield each


def _fields(kind: Any) -> list[dataclasses.Field[Any]]:
    return [each for each in dataclasses.fields(kind) if not each.name.startswith("_")]


def _type(field: dataclasses.Field[Any]) -> str:
    text = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return " ".join(text.replace("|", "or").split())


def stored_page() -> str:
    """Return the schemas and tables that safemig creates in a database, with the DDL that creates them."""
    ddl = "\n".join((MAKE_SUPABASE, MAKE_OURS, MAKE_APPROVALS, MAKE_RESUMABLE, MAKE_PROGRESS))
    tables = dict(re.findall(r"CREATE TABLE IF NOT EXISTS ([\w.]+) (\(.*?\))(?:;|\n\n|\n\Z)", ddl, re.DOTALL))
    if set(tables) != set(PURPOSES):
        raise LookupError(f"say in PURPOSES what each table is for: {set(tables) ^ set(PURPOSES)}")
    lines = ["# What safemig stores in production", ""]
    lines += [
        "safemig creates the schema `safemig` in a database that it deploys to, and the history table of the project's",
        "[layout](layouts.md), by default that of the Supabase CLI. It creates no functions, no triggers and no extensions.",
        "The first deployment (or rollback, sync, baseline) creates them; review, plan, rehearse and status only read.",
        "A database without an entry in these tables works as before; [upgrade and uninstall](../upgrade.md) says how to remove them.",
        "",
        "| schema | holds |",
        "|---|---|",
        "| `supabase_migrations` | the history of migrations, shared with the Supabase CLI; another layout has its tool's table instead |",
        "| `safemig` | what that history lacks: checksums, deployments, statements, approvals, progress |",
        "",
    ]
    for name, purpose in PURPOSES.items():
        body = tables[name]
        if name == "supabase_migrations.schema_migrations":
            body = "(\n    version text NOT NULL PRIMARY KEY,\n    statements text[],\n    name text)"
        lines += [f"## {name}", "", purpose, "", f"```sql\nCREATE TABLE {name} {body};\n```", ""]
    lines += [
        "## What stands there for a time",
        "",
        "| object | made by | removed by |",
        "|---|---|---|",
        "| schema `restored_[timestamp]` | `safemig restore-prod --tables` | `safemig restore-prod --drop restored_[timestamp]` |",
        "| database `[name]_restored_[timestamp]` | `safemig restore-prod` | `safemig restore-prod --drop NAME` |",
        "| database `[name]_before_[timestamp]`, replaced | `restore-prod --swap` | `safemig restore-prod --drop NAME` |",
        "| an advisory lock | each act on a database | the end of its session |",
    ]
    return "\n".join(lines) + "\n"


def layouts_page() -> str:
    """Return the layouts of migration folders that safemig reads, and those of programs that it runs."""
    files = [each for each in LAYOUTS.values() if not each.is_code]
    programs = [each for each in LAYOUTS.values() if each.is_code]
    lines = ["# Layouts of other tools", ""]
    lines += ['`layout = ""` recognises the layout by the folder\'s files. `safemig init` says what it found.', ""]
    lines += ["## SQL files", "", "| `layout` | tool | folders | history table |", "|---|---|---|---|"]
    lines += [f"| `{each.name}` | {each.tool} | {_folders(each.folders)} | `{each.history}` |" for each in files]
    lines += ["", "## Programs", "", "| `layout` | tool | folders | command for `--run` |", "|---|---|---|---|"]
    lines += [f"| `{each.name}` | {each.tool} | {_folders(each.folders)} | `{each.command}` |" for each in programs]
    return "\n".join(lines) + "\n"


def _folders(folders: Sequence[str]) -> str:
    return ", ".join(f"`{folder}`" for folder in folders)


def messages_page() -> str:
    """Return every error message that the code raises with its words at hand, by error, with what comes next."""
    by_kind: dict[str, set[tuple[str, str]]] = {}
    for path in sorted(Path(safemig.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and (kind := _kind(node.func)):
                given = {each.arg: _words(each.value) for each in node.keywords}
                if words := _words(node.args[0]):
                    by_kind.setdefault(kind, set()).add((words, given.get("next", "")))
    lines = ["# Error messages", ""]
    lines += [
        "`…` stands for names and numbers. [Troubleshooting](../troubleshooting.md) explains the common ones.",
        "",
    ]
    for _, kind in _tree(SafemigError):
        if found := sorted(by_kind.get(kind.__name__, ())):
            lines += [
                f"## {kind.__name__.removesuffix('Error')}",
                "",
                f"{_first_line(kind)} Exit code {kind.exit_code}.",
                "",
            ]
            lines += ["| message | next |", "|---|---|"]
            lines += [f"| {_cell(words)} | {_cell(next_)} |" for words, next_ in found]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _kind(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) and function.id.endswith("Error") else ""


def _words(value: ast.expr) -> str:
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in value.values)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("*", "\\*")


def emergency_page() -> str:
    """Return the emergency procedures, as `safemig help emergency` prints them."""
    ((title, body),) = deploy_help("emergency").sections
    return f"# {title}\n\n{body}\n"


PAGES = {
    "verbs": verbs_page,
    "settings": settings_page,
    "rules": rules_page,
    "exit-codes": exit_codes_page,
    "messages": messages_page,
    "layouts": layouts_page,
    "json": json_page,
    "frames": frames_page,
    "stored": stored_page,
    "emergency": emergency_page,
}
