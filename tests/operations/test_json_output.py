"""`--format json` on every verb: standard output is one document of the schema, whatever becomes of the verb."""

from __future__ import annotations

import functools
import gc
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from safemig.cli import main
from safemig.cli import safemig as group
from safemig.views.json_schema import output_schema
from tests.operations.conftest import Shop

NOTES = "CREATE TABLE notes (id bigint PRIMARY KEY);\n"
# The words, the exit code, the kind of document; ID is the plan's of the words before --approve, PLAN that of migrate-prod.
Row = tuple[str, int, str]
QUICK: list[Row] = [
    ("init", 0, "init"),
    ("help", 0, "help"),
    ("config", 0, "config"),
    ("review", 0, "review"),
    ("review --no-target supabase/migrations/20260102000000_notes.sql", 0, "review"),
    ("review nowhere.sql", 2, "error"),
    ("plan", 0, "plan"),
    ("plan sync-prod", 1, "error"),
    ("status", 0, "status"),
    ("doctor", 0, "doctor"),
    ("doctor postgresql://nobody@127.0.0.1:1/x", 5, "doctor"),
    ("fleet status", 2, "error"),
    ("base", 0, "base"),
    ("diff --from staging --to production", 0, "schema_diff"),
    ("records", 0, "archive"),
    ("records --verify", 0, "archive"),
    ("workload --show", 2, "error"),
    ("workload queries.sql --role postgres", 0, "workload"),
    ("workload --show", 0, "workload"),
    ("migrate-prod --dry-run", 0, "plan"),
    ("migrate-staging --dry-run", 0, "plan"),
    ("backup-prod --dry-run", 0, "plan"),
    ("rehearse --dry-run", 0, "plan"),
    ("rehearse --run true --dry-run", 0, "plan"),
    ("sync-prod --dry-run", 1, "error"),
    ("baseline-prod --dry-run", 1, "error"),
    ("rollback-prod --dry-run", 1, "error"),
    ("restore-prod --dry-run", 1, "error"),
    ("restore-prod --drop nothing --dry-run", 1, "error"),
    ("backup-prod --target moon", 2, "error"),
    ("backup-prod --nope", 2, "error"),
    ("deploy", 2, "error"),
    ("generate", 2, "error"),
    ("generate x --enable 1", 2, "error"),
    ("generate --enable 0", 2, "error"),
    ("plan migrate-prod moon", 2, "error"),
    ("plan rollback-prod nowhere.sql", 2, "error"),
    ("rehearse --load -1", 2, "error"),
    ("records --act nope", 2, "error"),
    ("migrate-prod --run-down x --dry-run", 2, "error"),
    ("migrate-prod --run x --resume y --dry-run", 2, "error"),
    ("migrate-prod", 1, "error"),
]
RECORDED: list[Row] = [
    ("rehearse", 0, "rehearsal"),
    ("migrate-staging", 0, "deployment"),
    ("generate nothing", 0, "generate"),
    ("review --record", 0, "review"),
    ("migrate-prod --approve wrong", 1, "error"),
    ("migrate-prod --approve PLAN", 0, "deployment"),
    ("status --record", 0, "status"),
    ("doctor --record", 0, "doctor"),
    ("backup-prod", 0, "backup"),
    ("restore-prod --dry-run", 0, "plan"),
    ("restore-prod --swap --dry-run", 0, "plan"),
    ("restore-prod --tables public.orders --put-back --dry-run", 0, "plan"),
    ("restore-prod --tables public.orders --put-back", 0, "restore"),
    ("restore-prod", 0, "restore"),
    ("rollback-prod --dry-run", 0, "plan"),
    ("rollback-prod", 1, "error"),
    ("rollback-prod --approve ID", 0, "deployment"),
    ("sync-prod", 1, "error"),
    ("baseline-prod", 1, "error"),
    ("records --verify", 0, "archive"),
]


@functools.cache
def schema() -> dict[str, Any]:
    return output_schema(closed=True)


def errors_of(document: Any) -> list[str]:
    """Return what the schema says against a document, by the definition of its kind that fits best."""
    whole = schema()
    of_kind = [
        name
        for name, each in whole["$defs"].items()
        if each.get("properties", {}).get("kind") == {"const": document["kind"]}
    ]
    tried = [
        list(
            jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": whole["$defs"]}).iter_errors(document)
        )
        for name in of_kind
    ]
    jsonschema.Draft202012Validator(output_schema()).validate(document) if not min(tried, key=len) else None
    return [f"{'/'.join(map(str, each.absolute_path))}: {each.message[-300:]}" for each in min(tried, key=len)]


Run = Callable[[Shop, list[str]], tuple[int, Any, str]]


def as_a_process(shop: Shop, words: list[str]) -> tuple[int, Any, str]:
    done = subprocess.run(
        [sys.executable, "-m", "safemig", *words, "--format", "json"], cwd=shop.folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the command in this process, which saves starting one for each."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(shop: Shop, words: list[str]) -> tuple[int, Any, str]:
        monkeypatch.chdir(shop.folder)
        with pytest.raises(SystemExit) as ended:
            main([*words, "--format", "json"])
        said = capsys.readouterr()
        return int(str(ended.value.code or 0)), json.loads(said.out), said.err

    threshold = gc.get_threshold()
    yield run
    gc.enable()
    gc.set_threshold(*threshold)


def walk(shop: Shop, run: Run, rows: list[Row]) -> None:
    ids = {"PLAN": "", "ID": ""}
    for line, exit_code, kind in rows:
        words = line.split()
        if "PLAN" in words:
            ids["PLAN"] = shop.project.plan().id
        code, document, said = run(shop, [ids.get(word, word) for word in words])
        assert (code, document["kind"]) == (exit_code, kind), f"{line}: {document.get('what')}\n{said}"
        assert document["format"] == "safemig/1"
        assert errors_of(document) == [], line
        if kind == "plan":
            ids["ID"] = document["id"]
        if kind == "error":
            assert document["exit_code"] == exit_code, line
            assert document["what"].splitlines()[0] in said, "people read the same on standard error"


@pytest.fixture
def pending(shop: Shop) -> Shop:
    """A shop with a migration that is pending in both databases."""
    shop.write("20260102000000_notes.sql", NOTES)
    return shop


def test_what_a_command_prints_is_one_document_of_the_schema(pending: Shop, here: Run) -> None:
    before = pending.state()
    (pending.folder / "queries.sql").write_text("SELECT * FROM users WHERE id = 1;\n")
    walk(pending, here, QUICK)
    assert pending.state() == before
    assert [path.stem.split("-", 2)[2] for path in sorted(pending.folder.glob("records/*/*.ipynb"))] == [
        "migrate_prod-REFUSED"
    ], "a dry run leaves no record"


@pytest.mark.thorough
def test_what_a_recorded_run_prints_is_one_document_of_the_schema(pending: Shop) -> None:
    walk(pending, as_a_process, RECORDED)


@pytest.mark.thorough
def test_the_demo_prints_one_document(shop: Shop, tmp_path: Path) -> None:
    code, document, said = as_a_process(shop, ["demo", "--keep", str(tmp_path / "kept")])
    assert (code, document["kind"], errors_of(document)) == (0, "demo", [])
    assert document["lines"][0] in said


@pytest.mark.parametrize(
    ("line", "kind", "files"),
    [
        ("init --first-migration notes", "init", ["_notes.sql"]),
        ("generate notes", "generate", ["_notes.sql"]),
        ("base", "base", ["base.sql"]),
        ("workload queries.sql --role postgres", "workload", []),
    ],
)
def test_a_dry_run_returns_the_files_and_writes_none(
    line: str, kind: str, files: list[str], shop: Shop, here: Run
) -> None:
    shop.on(shop.staging, "CREATE TABLE notes (id bigint PRIMARY KEY)")
    (shop.folder / "queries.sql").write_text("SELECT * FROM users WHERE id = 1;\n")

    def written() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in shop.folder.rglob("*") if path.is_file()}

    before = written()
    code, document, said = here(shop, [*line.split(), "--dry-run"])
    assert (code, document["kind"], errors_of(document)) == (0, kind, []), said
    would = document.get("not_written", [])
    assert [each["path"].endswith(name) for each, name in zip(would, files, strict=True)] == [True] * len(files)
    assert all(each["text"] for each in would)
    assert document.get("is_dry_run", bool(would))
    assert written() == before


def test_every_verb_is_tried() -> None:
    tried = {line.split()[0] for line, *_ in QUICK + RECORDED}
    assert set(group.commands) - tried == {"demo"}


def test_a_refusal_holds_what_was_found_and_where_the_record_is(pending: Shop) -> None:
    pending.write("20260103000000_drop.sql", "ALTER TABLE users DROP COLUMN legacy;\n")
    code, document, _ = as_a_process(pending, ["migrate-prod"])
    assert (code, document["name"], document["exit_code"]) == (1, "ReviewRefused", 1)
    assert "drop-column" in [each["rule"] for each in document["result"]["findings"]]
    assert document["record"]["verdict"] == "REFUSED"
    assert (pending.folder / document["record"]["path"]).is_file()
