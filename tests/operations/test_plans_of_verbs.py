"""Every verb that changes production has a plan, whose id approves exactly that; asking for it changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from safemig.errors import RefusedError, SettingsError
from tests.operations.conftest import Shop, approval_of

NOTES = "CREATE TABLE notes (id bigint PRIMARY KEY);\n"


def test_a_rollback_is_approved_by_the_id_of_its_plan(shop: Shop) -> None:
    shop.write("20260102000000_notes.sql", NOTES)
    shop.deploy()
    before = shop.state()
    answer = subprocess.run(
        [sys.executable, "-m", "safemig", "plan", "rollback-prod", "--format", "json"],
        cwd=shop.folder, capture_output=True, check=True,
    )  # fmt: skip
    plan = json.loads(answer.stdout)
    assert shop.state() == before
    assert (plan["act"], plan["what"][0]) == ("rollback_prod", "Rollback of 20260102000000_notes.sql.")
    assert "DROP TABLE" in [step["kind"] for step in plan["steps"]]
    assert shop.project.rollback_prod(approve=plan["id"]).verdict == "ROLLED BACK"
    with pytest.raises(RefusedError, match="nothing to roll back"):
        shop.project.plan("rollback_prod")


def test_a_rollback_of_a_changed_schema_has_no_plan(shop: Shop) -> None:
    shop.write("20260102000000_notes.sql", NOTES)
    shop.deploy()
    shop.on(shop.production, "ALTER TABLE notes ADD COLUMN a int")
    with pytest.raises(RefusedError, match="has changed since this script was made"):
        shop.project.plan("rollback_prod")


def test_a_baseline_is_approved_by_the_id_of_its_plan(shop: Shop) -> None:
    shop.on(shop.production, "DELETE FROM supabase_migrations.schema_migrations")
    plan = shop.project.plan("baseline-prod")
    assert "none is run" in plan.render("text")
    assert shop.project.baseline_prod(approve=plan.id).verdict == "BASELINED"
    assert "NOTHING TO DEPLOY" in shop.project.plan("baseline_prod").render("text")


def test_a_sync_is_approved_by_the_id_of_its_plan(shop: Shop) -> None:
    shop.on(shop.staging, NOTES)
    with pytest.raises(RefusedError, match="holds data in 2 tables"):
        shop.project.plan("sync_prod")
    shop.on(shop.production, "TRUNCATE users CASCADE")
    plan = shop.project.plan("sync_prod")
    assert [step.kind for step in plan.steps] == ["CREATE TABLE"]
    assert shop.project.sync_prod(approve=plan.id).verdict == "SYNCED"


def test_a_restore_is_approved_by_the_id_of_its_plan(shop: Shop) -> None:
    backup = shop.project.backup_prod(verify=False)
    plan = shop.project.plan("restore_prod", backup.timestamp)
    assert plan.id == approval_of(lambda: shop.project.restore_prod(backup.timestamp, swap=True))
    assert f"The backup {backup.timestamp}" in plan.render("text")


def test_there_is_no_plan_of_what_changes_nothing(shop: Shop) -> None:
    with pytest.raises(SettingsError, match="there is no plan of db_status"):
        shop.project.plan("db_status")
