"""db_status, schema_diff, init, plan: what is said about the two databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from safemig.errors import SettingsError, UnreachableError
from safemig.postgres.dump.tools import run_psql
from safemig.postgres.server.programs import server_programs
from safemig.project import Project, diff
from tests.operations.conftest import FIRST, Shop

pytestmark = pytest.mark.measures_drift

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
    assert status.problems == (
        "staging: 20260101000000_first.sql was edited since it was applied; "
        "restore its applied version (git), and put the change into a new one",
        "production: 20260101000000_first.sql was edited since it was applied; "
        "restore its applied version (git), and put the change into a new one",
        "production: 20260109000000 theirs is applied, and no such file is here; get it (git pull) before you deploy",
        "production: 20260102000000_second.sql is pending, though older than what is applied; "
        "expected after branches were merged, otherwise rename it",
    )


def test_a_deployment_that_the_database_lost_again_is_told(shop: Shop) -> None:
    """As a restore of an older backup does, or a failover to a standby that had not got it yet."""
    backup = shop.project.backup_prod()
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    lost = shop.deploy()
    assert shop.project.db_status().problems == ()
    shop.on(shop.production, "DROP TABLE notes")
    run_psql(server_programs(), shop.production, backup.full.path)
    (told,) = shop.project.db_status().problems
    assert told.startswith(f"production: run {lost.run_id} (migrate_prod, begun ")
    assert told.endswith("a failover or a restore undid it; what is pending now must be deployed again")
    shop.deploy()
    assert shop.project.db_status().problems == ()


def test_a_recorded_deployment_whose_record_is_not_here_is_told(shop: Shop) -> None:
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    done = shop.deploy()
    shop.on(
        shop.production,
        """UPDATE safemig.deployments SET facts = facts || '{"record": "20260102T030405-migrate_prod", "ledger": "x"}'""",
    )
    assert shop.project.db_status().problems == (
        f"production: run {done.run_id} (migrate_prod, by {done.by}) is recorded in 20260102T030405-migrate_prod, "
        "which is not here; get the records from the person who ran it, then safemig records --verify",
    )
    shop.write("20260103000000_third.sql", "CREATE TABLE IF NOT EXISTS more (id bigint PRIMARY KEY);")
    later = shop.deploy()
    shop.on(
        shop.production,
        f"""UPDATE safemig.deployments SET facts = facts || '{{"record": "20260102T030406-migrate_prod", "ledger": "x"}}'
        WHERE run_id = '{later.run_id}'""",
    )
    (problem,) = shop.project.db_status().problems
    assert f"run {later.run_id} (migrate_prod" in problem
    assert "which is not here, and 1 earlier; get" in problem
    (shop.folder / "records/production").mkdir(parents=True, exist_ok=True)
    for second in "56":
        (shop.folder / f"records/production/20260102T03040{second}-migrate_prod-deployed.ipynb").write_text("{}")
    assert shop.project.db_status().problems == ()


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


SUPABASE = """
project_id = "shop"
[db]
port = 54322
major_version = 17
"""


@pytest.mark.parametrize("where", ["", "supabase"])
def test_init_in_a_supabase_project_asks_nothing_and_gets_it_right(tmp_path: Path, where: str) -> None:
    folder, reference = tmp_path / "supabase", "abcdefghijklmnopqrst"
    (folder / "migrations").mkdir(parents=True)
    (folder / ".temp").mkdir()
    (folder / "config.toml").write_text(SUPABASE)
    (folder / ".temp" / "project-ref").write_text(reference)
    pooler = f"postgresql://postgres.{reference}:canary@aws-0-eu-central-1.pooler.supabase.com:6543/postgres"
    (folder / ".temp" / "pooler-url").write_text(pooler)
    (folder / "migrations" / "20260101000000_first.sql").write_text("CREATE TABLE a (id bigint PRIMARY KEY);")
    made = Project.init(tmp_path / where)
    assert (made.folder, made.platform) == (tmp_path, "Supabase project shop")
    rows = '\n# configuration_rows = ["storage.buckets", "cron.job"]\n'
    written = (tmp_path / "safemig.toml").read_text()
    assert rows in written
    (tmp_path / "safemig.toml").write_text(written.replace(rows, rows.replace("# ", "")))
    assert Project.open(tmp_path).settings.configuration_rows == ("storage.buckets", "cron.job")
    (tmp_path / "safemig.toml").write_text(written)
    assert "supabase/migrations/" in made.kept
    text = (tmp_path / "safemig.toml").read_text()
    assert f"postgresql://postgres.{reference}@aws-0-eu-central-1.pooler.supabase.com:5432/postgres" in text
    assert "PostgreSQL 17" in text
    assert "canary" not in text
    settings = Project.open(tmp_path).settings
    assert [path.name for path in settings.path("migrations").iterdir()] == ["20260101000000_first.sql"]


@pytest.mark.parametrize("config", ["", "not = [toml", "project_id = 7\n[db]\nmajor_version = 'x'", "db = 1"])
def test_a_supabase_project_that_says_little_is_one_all_the_same(tmp_path: Path, config: str) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text(config)
    assert Project.init(tmp_path).platform == "Supabase project"
    assert "session pooler (port 5432)" in (tmp_path / "safemig.toml").read_text()


def test_the_settings_that_init_writes_are_the_defaults(tmp_path: Path) -> None:
    Project.init(tmp_path)
    with_file = Project.open(tmp_path).settings
    (tmp_path / "safemig.toml").unlink()
    assert with_file == Project.open(tmp_path).settings
