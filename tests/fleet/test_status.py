"""The matrix of a fleet says of each member what its own database says."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from tests.fleet.conftest import FIRST_FILE, Fleet

SECOND_FILE = "20260102000000_second.sql"


def test_each_member_is_told_as_it_is(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(6)
    fleet.write(SECOND_FILE, "ALTER TABLE customers ADD COLUMN vip boolean;")
    fleet.on("b", "ALTER TABLE orders ADD COLUMN by_hand text")
    fleet.on("c", "UPDATE supabase_migrations.schema_migrations SET version = '20250101000000'")
    fleet.on("d", "DROP SCHEMA supabase_migrations CASCADE; DROP SCHEMA safemig CASCADE")
    fleet.members["e"] = "postgresql://app@127.0.0.1:1/nowhere"
    fleet.list_members()
    found = fleet.project.fleet_status()
    rows = {each.name: each for each in found.members}
    assert {name: each.state for name, each in rows.items()} == {
        "a": "pending", "b": "pending", "c": "contradicts", "d": "unrecorded", "e": "unreachable", "f": "pending",
    }  # fmt: skip
    assert rows["a"].drift == rows["f"].drift == "none"
    assert "orders.by_hand" in rows["b"].drift
    assert rows["b"].is_drifted
    assert rows["a"].cohort == rows["f"].cohort != rows["b"].cohort
    assert rows["a"].version == FIRST_FILE[:14]
    assert "reach" in rows["e"].error
    assert found.exit_code == 5
    assert "6 members" in found.render()
    data = found.to_dict()
    assert {"name", "state", "version", "drift", "error"} <= set(data["members"][0])


def test_all_well_is_zero_and_drift_is_one(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(2)
    found = fleet.project.fleet_status("tenants")
    assert [each.state for each in found.members] == ["current", "current"]
    assert found.exit_code == 0
    assert "UP TO DATE" in found.render()
    fleet.on("b", "CREATE TABLE extra (id int)")
    assert fleet.project.fleet_status().exit_code == 1
    skipped = fleet.project.fleet_status(drift=False)
    assert {each.drift for each in skipped.members} == {"not compared: not asked for"}


def test_a_member_whose_tables_are_locked_is_named_and_the_others_are_told(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(2)
    fleet.on("a", "CREATE VIEW v AS SELECT id FROM orders")
    with psycopg.connect(fleet.members["a"]) as holder:
        holder.execute("LOCK TABLE orders")
        found = fleet.project.fleet_status(drift=False)
    assert [each.state for each in found.members] == ["unreachable", "current"]
    assert "lock" in found.members[0].error
