"""Every runbook by every road: the command, plain papermill from a file and by our scheme, and cell by cell."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import output_from_msg

from safemig.errors import RefusedError
from safemig.records import read_archive
from safemig.records.outcome import read_outcome
from safemig.records.papermill_io import runbooks_folder
from tests.operations.conftest import FIRST_FILE, Shop
from tests.tables import part_of

CANARY = "canary-5up3r-s3cret"
NICKNAME = "20260102000000_nickname.sql"
_ASKED = re.compile(r"Type {2}(\S+ \S+) {2}to approve")


@dataclass(frozen=True)
class Case:
    """A runbook: what the shop is like before, what is given, what the command is, and the word at the end."""

    verb: str
    command: str
    word: str
    prepare: Callable[[Shop], object] = lambda _: None
    given: Mapping[str, Any] = field(default_factory=dict)
    is_approved: bool = False
    leaves_record: bool = True

    def id_to_approve(self, shop: Shop) -> str:
        """Return the id that production's owner would read in the refusal."""
        if self.verb == "migrate_prod":
            return shop.project.plan().id
        if self.verb == "fleet_migrate":
            return shop.project.fleet_plan().id
        with pytest.raises(RefusedError, match="is not approved") as caught:
            getattr(shop.project, self.verb)(**self.given)
        return str(caught.value.next).split("--approve ")[1].split()[0]


def write_nickname(shop: Shop) -> None:
    shop.write(NICKNAME, "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS nickname text;\n")


def deploy_nickname(shop: Shop) -> None:
    write_nickname(shop)
    shop.deploy()


def change_staging(shop: Shop) -> None:
    shop.on(shop.staging, "ALTER TABLE users ADD COLUMN nickname text")


def empty_production(shop: Shop) -> None:
    change_staging(shop)
    shop.on(shop.production, "TRUNCATE users, orders")


def forget_history(shop: Shop) -> None:
    shop.on(shop.production, "DROP SCHEMA safemig, supabase_migrations CASCADE")


def write_statements(shop: Shop) -> None:
    (shop.folder / "statements").mkdir()
    (shop.folder / "statements" / "read.sql").write_text("SELECT email FROM users WHERE id = $1;\n")


def fleet_of_one(shop: Shop) -> None:
    settings = shop.folder / "safemig.toml"
    settings.write_text(f'{settings.read_text()}\n[fleets.shops]\nmembers = "env:PRODUCTION_DATABASE_URL"\n')


def fleet_with_nickname(shop: Shop) -> None:
    fleet_of_one(shop)
    write_nickname(shop)


CASES = [
    Case("generate", "generate description", "GENERATED", change_staging, {"description": "description"}),
    Case("review", "review --record", "SAFE-TO-DEPLOY", write_nickname),
    Case("rehearse", "rehearse", "REHEARSED", write_nickname),
    Case("backup_prod", "backup-prod", "BACKED-UP"),
    Case("migrate_staging", "migrate-staging", "DEPLOYED", write_nickname),
    Case("migrate_prod", "migrate-prod", "DEPLOYED", write_nickname, is_approved=True),
    Case("rollback_prod", "rollback-prod", "ROLLED-BACK", deploy_nickname, is_approved=True),
    Case(
        "restore_prod", "restore-prod --swap", "SWAPPED-IN", lambda shop: shop.project.backup_prod(), {"swap": True},
        is_approved=True,
    ),
    Case("sync_prod", "sync-prod", "SYNCED", empty_production, is_approved=True),
    Case(
        "baseline_prod", f"baseline-prod --to {FIRST_FILE[:14]}", "BASELINED", forget_history, {"to": FIRST_FILE[:14]},
        is_approved=True,
    ),
    Case("db_status", "status --record", "PENDING", write_nickname),
    Case("schema_diff", "diff --from production --to staging", "DIFFERENT", change_staging, leaves_record=False),
    Case("doctor", "doctor --record", "READY"),
    Case("workload", "workload --record statements", "COLLECTED", write_statements, {"paths": ["statements"]}),
    Case("deployments", "records --verify", "REPORTED", leaves_record=False),
    Case("fleet_backup", "fleet backup", "BACKED-UP-NOT-VERIFIED", fleet_of_one),
    Case("fleet_migrate", "fleet migrate", "DEPLOYED", fleet_with_nickname, is_approved=True),
]  # fmt: skip


@dataclass(frozen=True)
class Trip:
    """How a road ended: the exit code, what was said, and the executed notebook, where one is left."""

    exit_code: int
    said: str
    notebook: Path | None


def run(shop: Shop, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=shop.folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def by_command(shop: Shop, case: Case, approve: str) -> Trip:
    exit_code, said = run(shop, "safemig", *case.command.split(), *(("--approve", approve) if approve else ()))
    match = re.search(r"record: (\S+\.ipynb)", said)
    if match:
        archive = read_archive(shop.folder / "records", verify=True)
        assert archive.problems == ()
        assert (archive.records[0].act, archive.records[0].integrity) == (case.verb, "intact")
    assert bool(match) is case.leaves_record, said
    return Trip(exit_code, said, shop.folder / match[1] if match else None)


def by_papermill(shop: Shop, case: Case, approve: str, source: str) -> Trip:
    given = case.given | ({"approve": approve} if approve else {})
    options = [word for name, value in given.items() for word in ("-y", json.dumps({name: value}))]
    exit_code, said = run(shop, "papermill", source, "out.ipynb", *options, "--no-progress-bar", "--log-output")
    return Trip(exit_code, said, shop.folder / "out.ipynb")


def by_file(shop: Shop, case: Case, approve: str) -> Trip:
    return by_papermill(shop, case, approve, str(runbooks_folder() / f"{case.verb}.ipynb"))


def by_scheme(shop: Shop, case: Case, approve: str) -> Trip:
    return by_papermill(shop, case, approve, f"safemig://{case.verb}.ipynb")


def cell_by_cell(shop: Shop, case: Case, approve: str) -> Trip:
    """Run as a front end does: each cell by itself, a person who mistypes the approval, and then types it right."""
    notebook = nbformat.read(runbooks_folder() / f"{case.verb}.ipynb", as_version=4)
    notebook.cells[1].source += "".join(f"\n{name} = {value!r}" for name, value in case.given.items())
    asked: list[str] = []
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(shop.folder))

    def answer(message: dict[str, Any]) -> None:
        asked.append(message["content"]["prompt"])
        wanted = _ASKED.search(asked[-1])
        assert wanted, asked[-1]
        client.input("production" if len(asked) == 1 else wanted[1])

    def execute(cell: Any) -> str:
        cell.outputs = []

        def keep(message: dict[str, Any]) -> None:
            if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                cell.outputs.append(output_from_msg(message))

        reply = client.execute_interactive(
            cell.source, allow_stdin=True, stdin_hook=answer, output_hook=keep, timeout=120
        )
        cell.execution_count = reply["content"]["execution_count"]
        return str(reply["content"]["status"])

    try:
        for cell in notebook.cells:
            if cell.cell_type == "code" and execute(cell) != "ok" and len(asked) == 1:
                assert "is not approved: 'production' is not" in json.dumps(cell.outputs)
                execute(cell)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert len(asked) == (2 if approve else 0)
    assert all(approve in question for question in asked)
    path = shop.folder / "saved.ipynb"
    nbformat.write(notebook, path)
    return Trip(read_outcome(case.verb, notebook).exit_code, "\n".join(asked), path)


ROADS = [by_command, by_file, by_scheme, cell_by_cell]


TRIPS = [(case, road) for case in CASES for road in ROADS]
# The roads take turns; a deployment comes by each.
SOME = [
    (case, road)
    for at, case in enumerate(CASES)
    for road in (ROADS if case.verb == "migrate_prod" else ROADS[at % len(ROADS) :][:1])
]


def test_every_runbook_is_tried() -> None:
    # fleet_rollback takes the ID of what it rolls back: tests/fleet deploys first.
    assert {*(case.verb for case in CASES), "fleet_rollback"} == {
        path.stem for path in runbooks_folder().glob("*.ipynb")
    }


@pytest.mark.parametrize(("case", "road"), part_of(TRIPS, SOME, lambda trip: f"{trip[0].verb}-{trip[1].__name__}"))
def test_a_runbook_comes_to_the_same_end_by_every_road(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, case: Case, road: Callable[[Shop, Case, str], Trip]
) -> None:
    for variable, url in (("PRODUCTION_DATABASE_URL", shop.production), ("STAGING_DATABASE_URL", shop.staging)):
        monkeypatch.setenv(variable, url.replace("postgres@", f"postgres:{CANARY}@"))
    case.prepare(shop)
    trip = road(shop, case, case.id_to_approve(shop) if case.is_approved else "")
    assert trip.exit_code == 0, trip.said
    assert CANARY not in trip.said
    if trip.notebook:
        assert read_outcome(case.verb, nbformat.read(trip.notebook, as_version=4)).word == case.word
    for path in shop.folder.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path.name
