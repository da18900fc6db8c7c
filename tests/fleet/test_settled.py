"""The record of a fleet's run that was killed says, once settled, which members have it: their own histories decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RefusedError, UnreachableError
from safemig.execution import journal
from safemig.execution.transaction import only_deployment
from safemig.fleet.migrate import FleetMigration
from safemig.postgres.history import record_deployment
from safemig.records.settle import settle_all
from tests.fleet.conftest import Fleet
from tests.fleet.test_migrate import SECOND, SECOND_FILE
from tests.records.test_settle import leave_running


@pytest.fixture(autouse=True)
def _all_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safemig.records.settle.still_runs", lambda _: False)


def deployed_to_one(make_fleet: Callable[..., Fleet]) -> Fleet:
    """A fleet of three, and a run that was killed when b had it: b's history says so, and the run's journal began."""
    fleet = make_fleet(3)
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    home = leave_running(fleet.project.settings, "fleet_migrate", of="tenants").parent
    for number, member in enumerate("abc"):
        deploy = {"run_id": f"m{number}", "act": "migrate_prod", "plan_id": plan.id, "started_at": datetime.now(UTC)}
        if member == "b":
            journal.write(home / journal.FILE_NAME, "r1", "begun", act="fleet_migrate", plan=plan.id)
            deploy["started_at"] = datetime.now(UTC)
        if member == "c":
            deploy["plan_id"] = "another"
        with psycopg.connect(fleet.members[member]) as connection:
            record_deployment(
                connection, **deploy, by="dana", migrations=[SECOND_FILE], schema_before="x", schema_after="y"
            )
    return fleet


def test_the_members_that_have_it_are_named_and_nobody_is_asked_who_is_not_free(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = deployed_to_one(make_fleet)
    settings = fleet.project.settings
    with only_deployment(fleet.members["c"], "c", "r9"), pytest.raises(RefusedError, match="another deployment"):
        settle_all(settings)
    whole = (fleet.folder / "tenants.csv").read_text()
    (fleet.folder / "tenants.csv").write_text(
        "".join(line for line in whole.splitlines(True) if not line.startswith("a,"))
    )
    with pytest.raises(RefusedError, match="cannot check whether a was changed"):
        settle_all(settings)
    (fleet.folder / "tenants.csv").write_text(whole.replace(fleet.members["a"], "postgresql://x@127.0.0.1:1/nowhere"))
    with pytest.raises(UnreachableError):
        settle_all(settings)
    (fleet.folder / "tenants.csv").write_text(whole)
    (settled,) = settle_all(settings)
    assert settled.words == f"The run was cut off after it had applied {SECOND_FILE} on 1 member: b."
    assert settled.path.stem == "20200101T000000Z-tenants-fleet_migrate-CUT-OFF-APPLIED"
    assert settled.applied == (SECOND_FILE,)
    assert settle_all(settings) == ()
    assert not fleet.project.deployments(verify=True).problems


def test_a_run_that_changed_no_member_or_did_not_begin_says_so(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(2)
    leave_running(fleet.project.settings, "fleet_backup", of="tenants")
    leave_running(fleet.project.settings, "fleet_migrate", of="tenants")
    said = {each.path.stem.split("-")[2]: each.words for each in settle_all(fleet.project.settings)}
    assert said == {
        "fleet_backup": "The run was cut off; it changes no database.",
        "fleet_migrate": "The run was cut off before it changed anything.",
    }
    left = leave_running(fleet.project.settings, "fleet_rollback", of="tenants")
    journal.write(left.parent / journal.FILE_NAME, "r1", "begun", act="fleet_rollback", plan="p")
    (settled,) = settle_all(fleet.project.settings)
    assert settled.words == "The run was cut off; no member's history knows of it."
    assert settled.path.stem.endswith("fleet_rollback-CUT-OFF")


@pytest.mark.thorough
def test_a_journal_that_cannot_be_written_after_a_member_was_changed_is_no_wrong_usage(
    make_fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(2)
    fleet.list_members('backup = "none"')
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    noted = journal.write

    def full(path: Path, run_id: str, event: journal.Event, **facts: object) -> None:
        if path.parent.name == "tenants" and event != "begun":
            raise journal.SettingsError("the journal cannot be written: No space left on device", where=str(path))
        noted(path, run_id, event, **facts)

    monkeypatch.setattr(journal, "write", full)
    run = FleetMigration(fleet.project.settings, approve=plan.id)
    run.plan()
    run.rehearse()
    run.approve()
    assert run.deploy().verdict == "DEPLOYED"  # that its record is not written is for who writes it
    assert all(SECOND_FILE[:14] in each for each in fleet.versions().values())
