"""A deployment to a fleet: planned, rehearsed by cohort, approved, in waves; whatever is killed, the members tell."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from safemig.errors import DeploymentStoppedError, RefusedError
from safemig.execution import journal
from safemig.fleet_facts import FleetDeployment
from safemig.records import run_runbook
from tests.fleet.conftest import FIRST_FILE, Fleet

SECOND_FILE = "20260102000000_second.sql"
SECOND = "ALTER TABLE customers ADD COLUMN IF NOT EXISTS vip boolean NOT NULL DEFAULT false;"
FIRST_VERSION, SECOND_VERSION = FIRST_FILE[:14], SECOND_FILE[:14]


def test_every_member_gets_it_and_a_second_run_does_nothing(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(4)
    fleet.list_members('waves = ["label:canary", "rest"]\nmax_parallel = 2', b="true")
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    assert [(each.name, each.members) for each in plan.waves] == [("label:canary", ("b",)), ("rest", ("a", "c", "d"))]
    assert [each.members for each in plan.cohorts] == [("a", "b", "c", "d")]
    assert plan.cohorts[0].rehearses == "b"
    assert not plan.set_aside
    with pytest.raises(RefusedError, match="is not approved"):
        fleet.project.fleet_migrate(ask=lambda _: "")
    assert set(map(tuple, fleet.versions().values())) == {(FIRST_VERSION,)}
    done = fleet.project.fleet_migrate(approve=plan.id)
    assert done.verdict == "DEPLOYED"
    assert {each.member: each.outcome for each in done.members} == dict.fromkeys("abcd", "deployed")
    assert all(each.backup and each.transaction_id for each in done.members)
    assert set(map(tuple, fleet.versions().values())) == {(FIRST_VERSION, SECOND_VERSION)}
    assert fleet.on("c", "SELECT act, plan_id FROM safemig.deployments WHERE plan_id <> ''") == [
        ("migrate_prod", plan.id)
    ]
    again = fleet.project.fleet_migrate(resume=plan.id)
    assert again.verdict == "NOTHING TO DEPLOY"
    assert {each.outcome for each in again.members} == {"already"}
    assert [each.state for each in fleet.project.fleet_status().members] == ["current"] * 4


ACCEPTED = 'accept = ["set-not-null:customers.email: small tables"]\n[fleets.tenants]\nmembers = "file: tenants.csv"\n'


def with_faults(make_fleet: Callable[..., Fleet]) -> Fleet:
    """A fleet of five: one drifted, one with violating rows, one that is not there."""
    fleet = make_fleet(5)
    fleet.write(SECOND_FILE, "ALTER TABLE customers ALTER COLUMN email SET NOT NULL;")
    fleet.on("b", "ALTER TABLE orders ADD COLUMN by_hand text")
    fleet.on("c", "UPDATE customers SET email = NULL WHERE id < 4")
    fleet.members["d"] = "postgresql://app@127.0.0.1:1/nowhere"
    fleet.list_members()
    fleet.settings(ACCEPTED)
    return fleet


def test_who_cannot_be_deployed_to_is_named_and_stops_the_plan(make_fleet: Callable[..., Fleet]) -> None:
    fleet = with_faults(make_fleet)
    stopped = fleet.project.fleet_plan()
    assert stopped.stops
    assert stopped.exit_code == 1
    why = {each.member: each.why for each in stopped.set_aside}
    assert "orders.by_hand" in why["b"]
    assert "3 customers: rows with NULL in email" in why["c"]
    assert "unreachable" in why["d"]
    with pytest.raises(RefusedError, match="3 members cannot be deployed to"):
        fleet.project.fleet_migrate(approve=stopped.id)


@pytest.mark.thorough
def test_who_cannot_be_deployed_to_is_left_out_by_setting(make_fleet: Callable[..., Fleet]) -> None:
    fleet = with_faults(make_fleet)
    fleet.settings(f'{ACCEPTED}unfit = "set_aside"\nbackup = "none"\n')
    plan = fleet.project.fleet_plan()
    assert plan.members == ("a", "e")
    done = fleet.project.fleet_migrate(approve=plan.id)
    assert done.verdict == "DEPLOYED EXCEPT SET ASIDE"
    assert {each.member for each in done.members if each.outcome == "deployed"} == {"a", "e"}
    (drifted,) = [each for each in done.members if each.member == "b"]
    assert "safemig generate" in drifted.next  # not only in the plan
    fleet.members.pop("d")
    applied = {name for name, versions in fleet.versions().items() if SECOND_VERSION in versions}
    assert applied == {"a", "e"}


def test_it_stops_at_the_set_number_of_failures_and_resumes(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(4)
    fleet.write(SECOND_FILE, SECOND)
    settings = '\nmax_parallel = 1\nwaves = ["1", "rest"]\nbackup = "server: WAL archive, checked daily"'
    fleet.list_members(settings)
    text = (fleet.folder / "safemig.toml").read_text()
    (fleet.folder / "safemig.toml").write_text(f"lock_attempts = 2\nlock_timeout_ms = 50\n{text}")
    plan = fleet.project.fleet_plan()
    with psycopg.connect(fleet.members["b"]) as holder:
        holder.execute("LOCK TABLE customers")
        # Its rows cannot be checked while the lock is held, which is said; only the deployment itself fails.
        with pytest.raises(DeploymentStoppedError, match="2 were not reached") as caught:
            fleet.project.fleet_migrate(approve=plan.id)
    result = caught.value.result
    assert isinstance(result, FleetDeployment)
    assert {each.member: each.outcome for each in result.members} == {
        "a": "deployed", "b": "failed", "c": "not reached", "d": "not reached",
    }  # fmt: skip
    assert f"--resume {plan.id}" in str(caught.value.next)
    assert [name for name, versions in fleet.versions().items() if SECOND_VERSION in versions] == ["a"]
    assert fleet.project.fleet_migrate(resume=plan.id).verdict == "DEPLOYED"
    assert all(SECOND_VERSION in versions for versions in fleet.versions().values())


def test_a_plan_holds_only_for_what_it_was_made_of(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(2)
    path = fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    path.write_text(SECOND.replace("vip", "gold"))
    with pytest.raises(RefusedError, match="is not what plan"):
        fleet.project.fleet_migrate(approve=plan.id)
    path.write_text(SECOND)
    fleet.on("b", "CREATE TABLE later (id int)")
    with pytest.raises(RefusedError, match="1 member cannot be deployed to"):
        fleet.project.fleet_migrate(approve=plan.id)
    kept = fleet.folder / "records" / "tenants" / "plans" / f"{plan.id}.json"
    kept.write_text(kept.read_text().replace('"rest"', '"best"').replace('"10%"', '"11%"'))
    with pytest.raises(RefusedError, match="was edited"):
        fleet.project.fleet_migrate(approve=plan.id)
    with pytest.raises(RefusedError, match="there is no plan"):
        fleet.project.fleet_migrate(resume="0123456789ab")
    assert set(map(tuple, fleet.versions().values())) == {(FIRST_VERSION,)}


def test_one_record_holds_the_whole_fleet(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(3)
    fleet.list_members('backup = "none"')
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    run = run_runbook("fleet_migrate", fleet.project.settings, {"approve": plan.id})
    assert (run.verdict, run.exit_code, run.error) == ("DEPLOYED", 0, None)
    assert run.path.parent == fleet.folder / "records" / "tenants"
    page = run.html.read_text()
    for word in ("3 members", "Cohorts", "PROVEN", plan.id):
        assert word in page
    archive = fleet.project.deployments(verify=True)
    assert not archive.problems
    (entry,) = archive.records
    assert (entry.environment, entry.act, entry.verdict, entry.plan_id) == (
        "tenants",
        "fleet_migrate",
        "DEPLOYED",
        plan.id,
    )
    told = [
        each
        for each in journal.read(fleet.folder / "records" / "tenants" / "journal.jsonl")
        if each["event"] == "member"
    ]
    assert {each["member"]: each["outcome"] for each in told} == dict.fromkeys("abc", "deployed")


@pytest.mark.thorough
def test_a_deployment_is_backed_up_and_rolled_back_on_every_member(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(2)
    saved = fleet.project.fleet_backup()
    assert saved.verdict == "BACKED UP NOT VERIFIED"
    assert [each.outcome for each in saved.members] == ["backed up", "backed up"]
    fleet.list_members('backup = "none"')
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    fleet.project.fleet_migrate(approve=plan.id)
    with pytest.raises(RefusedError, match="is not approved") as refused:
        fleet.project.fleet_rollback(plan.id, ask=lambda _: "")
    identity = str(refused.value.next).split("--approve ")[1].split()[0]
    done = fleet.project.fleet_rollback(plan.id, approve=identity)
    assert done.verdict == "ROLLED BACK"
    assert {each.outcome for each in done.members} == {"rolled back"}
    assert set(map(tuple, fleet.versions().values())) == {(FIRST_VERSION,)}
    assert fleet.on("a", "SELECT count(*) FROM pg_attribute WHERE attname = 'vip' AND NOT attisdropped") == [(0,)]
    again = fleet.project.fleet_rollback(plan.id)
    assert again.verdict == "NOTHING TO DO"


def test_a_member_that_is_not_ready_is_named_before_the_first_wave(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(3)
    fleet.write(SECOND_FILE, SECOND)
    fleet.list_members('unfit = "set_aside"\nbackup = "none"')
    (database,) = fleet.on("b", "SELECT current_database()")[0]
    fleet.on("b", f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    plan = fleet.project.fleet_plan()
    assert {each.member: each.why for each in plan.set_aside} == {
        "b": "writable: read-only by a setting of role or database"
    }
    assert plan.members == ("a", "c")


def test_two_approvals_are_asked_for_where_settings_say_so(
    make_fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(2)
    fleet.write(SECOND_FILE, SECOND)
    fleet.list_members('backup = "none"')
    path = fleet.folder / "safemig.toml"
    path.write_text(f"required_approvals = 2\n{path.read_text()}")
    plan = fleet.project.fleet_plan()
    monkeypatch.setenv("SAFEMIG_BY", "ann")
    for _ in range(2):  # the same person again is no second one
        with pytest.raises(RefusedError, match="1 of 2"):
            fleet.project.fleet_migrate(approve=plan.id)
    assert set(map(tuple, fleet.versions().values())) == {(FIRST_VERSION,)}
    monkeypatch.setenv("SAFEMIG_BY", "bob")
    assert fleet.project.fleet_migrate(approve=plan.id).verdict == "DEPLOYED"
