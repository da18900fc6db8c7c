"""db_status, schema_diff, init, plan: what is said about the two databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from safemig.errors import SettingsError, UnreachableError
from safemig.project import Project, diff
from tests.operations.conftest import FIRST, Shop

SECOND_FILE = "20260102000000_second.sql"


def test_status_names_every_migration_in_every_database(shop: Shop) -> None:
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    shop.project.migrate_staging()
    shop.write("20260101000000_first.sql", FIRST + "SELECT 1;")
    shop.on(
        shop.production,
        "INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20260109000000', 'theirs')",
    )
    status = shop.project.db_status()
    states = {each.version: each.states for each in status.migrations}
    assert states == {
        "20260101000000": {"staging": "edited", "production": "edited"},
        "20260102000000": {"staging": "applied", "production": "pending"},
        "20260109000000": {"production": "unknown"},
    }
    assert "production: 20260109000000 theirs is applied, and no such file is here" in status.problems


def test_drift_is_measured_against_what_the_applied_migrations_make(shop: Shop) -> None:
    shop.on(shop.production, "ALTER TABLE users ADD COLUMN by_hand int")
    drift = {each.name: each.drift for each in shop.project.db_status().environments}
    assert drift["staging"] == "none"
    assert drift["production"] == "1 change: +1 column beyond the applied migrations: add column public.users.by_hand"


def test_an_unreachable_database_is_described_not_raised(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://app:hunter2@127.0.0.1:1/shop")
    staging, production = shop.project.db_status().environments
    assert staging.problem == ""
    assert "production cannot be reached" in production.problem
    assert "hunter2" not in production.problem


def test_diff_takes_urls_and_environments(shop: Shop) -> None:
    shop.on(shop.staging, "CREATE TABLE notes (id bigint PRIMARY KEY)")
    assert shop.project.schema_diff("production", "staging").summary == "1 change: +1 table"
    assert "CREATE TABLE IF NOT EXISTS public.notes" in diff(shop.production, shop.staging).sql
    assert diff(shop.staging, shop.staging).is_empty
    with pytest.raises(SettingsError, match='no environment "prod"'):
        shop.project.schema_diff("prod", "staging")
    with pytest.raises(UnreachableError):
        diff("host=/nowhere dbname=x", shop.staging)


def test_init_writes_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    made = Project.init(tmp_path / "new", first_migration="Create users")
    assert {"safemig.toml", "supabase/migrations/", "backups/", "records/"} <= set(made.created)
    (migration,) = (tmp_path / "new/supabase/migrations").iterdir()
    assert migration.name.endswith("_create_users.sql")
    (tmp_path / "new/safemig.toml").write_text("lock_attempts = 3\n")
    again = Project.init(tmp_path / "new")
    assert again.created == ()
    assert (tmp_path / "new/safemig.toml").read_text() == "lock_attempts = 3\n"


def test_the_settings_that_init_writes_are_the_defaults(tmp_path: Path) -> None:
    Project.init(tmp_path)
    with_file = Project.open(tmp_path).settings
    (tmp_path / "safemig.toml").unlink()
    assert with_file == Project.open(tmp_path).settings
