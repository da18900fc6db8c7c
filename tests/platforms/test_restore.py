"""Backup and restore by a role without superuser, on every platform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.errors import BackupError, RefusedError, ToolError
from safemig.operations.sync_prod import tables_with_rows
from safemig.results import Restored, RestoredTables
from tests.operations.conftest import approval_of
from tests.platforms.boxes import BOXES, Platform

# (tables to name, what deletes rows of them, how many)
LOSSES = {
    "supabase": (
        "public.documents,public.profiles,auth.users",
        "DELETE FROM public.documents; DELETE FROM auth.users",
        50,
    ),
    "rds": ("app.customers,billing.invoices", "DELETE FROM billing.invoices; DELETE FROM app.customers", 50),
    "neon": ("notes", "DELETE FROM notes", 50),
    "heroku": ("posts,comments", "DELETE FROM comments; DELETE FROM posts", 50),
    "boss": ("users,orders", "DELETE FROM orders; DELETE FROM users", 50),
    "upgraded": ("users", "DELETE FROM users", 50),
}
LEFT_OUT = {"rds": ("public.spatial_ref_sys",)}


@pytest.mark.parametrize("form", ["plain", "directory"])
@pytest.mark.parametrize(("name", "major"), BOXES)
def test_a_backup_is_taken_and_deleted_rows_come_back(
    platform: Callable[..., Platform], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, major: int, form: str
) -> None:
    monkeypatch.setenv("SAFEMIG_BACKUP_FORMAT", form)
    box = platform(name, major)
    project = box.project(tmp_path)
    backup = project.backup_prod()
    assert backup.left_out == LEFT_OUT.get(name, ())
    for left_out in backup.left_out:
        assert f"left out, the platform's and not readable: {left_out}" in backup.render("text")
    tables, loss, rows = LOSSES[name]
    count = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in tables.split(","))
    good = box.run(box.production, count)
    box.run(box.production_admin, loss)
    # On auth.users stands a trigger of the team's, and the table is the platform's: only its owner may keep it quiet.
    fires = {"fire_triggers": True} if name == "supabase" else {}
    if fires:
        with pytest.raises(RefusedError, match=r"only its owner may keep the triggers of auth.users") as caught:
            project.restore_prod(tables=tables, put_back=True)
        assert "--fire-triggers" in str(caught.value.next)
        tables = "auth.users"

    def run(**more: str) -> Restored | RestoredTables:
        return project.restore_prod(tables=tables, put_back=True, **fires, **more)  # type: ignore[arg-type]

    done = run(approve=approval_of(run))
    assert isinstance(done, RestoredTables)
    assert done.verdict == "PUT BACK"
    assert done.tables[0].inserted == rows
    if fires:  # the trigger has made the profiles again; the rest follows without it
        tables, fires = "public.documents,public.profiles", {}
        done = run(update=True, approve=approval_of(lambda: run(update=True)))  # type: ignore[arg-type]
        assert isinstance(done, RestoredTables)
        assert (done.tables[0].inserted, done.tables[1].updated) == (50, 50)
    assert box.run(box.production, count) == good
    assert project.db_status().environments[1].problem == ""


def test_rows_of_the_platform_that_are_the_team_s_are_in_the_backup(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    backup = platform("supabase").project(tmp_path).backup_prod()
    rows = {table.name: table.rows for table in backup.tables}
    assert (rows["auth.users"], rows["storage.buckets"]) == (50, 1)
    assert {"storage.objects", "vault.secrets"} <= rows.keys()
    assert backup.hosted_on == "Supabase"
    assert "psql over the whole database stops" in " ".join(backup.render("text").split())


def test_a_table_of_the_team_s_that_cannot_be_read_is_an_error_with_the_grant(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("rds")
    box.run(
        box.production_admin,
        "CREATE ROLE payroll; CREATE TABLE app.salaries (id int); ALTER TABLE app.salaries OWNER TO payroll",
    )
    project = box.project(tmp_path)
    with pytest.raises(BackupError, match=r"dba may not read app.salaries") as caught:
        project.backup_prod()
    assert caught.value.next == "as payroll: GRANT SELECT ON app.salaries TO dba"
    box.run(box.production_admin, "GRANT SELECT ON app.salaries TO dba")
    assert "app.salaries" in {table.name for table in project.backup_prod().tables}


def test_row_security_that_hides_the_team_s_rows_is_an_error(platform: Callable[..., Platform], tmp_path: Path) -> None:
    box = platform("heroku")
    box.run(box.production, "ALTER TABLE posts ENABLE ROW LEVEL SECURITY; ALTER TABLE posts FORCE ROW LEVEL SECURITY")
    with pytest.raises(BackupError, match=r"row security hides rows of public.posts") as caught:
        box.project(tmp_path).backup_prod()
    assert "BYPASSRLS" in str(caught.value.next)


@pytest.mark.parametrize("name", ["supabase", "rds", "neon", "heroku"])
def test_where_no_second_database_can_be_had_the_error_names_the_road(
    platform: Callable[..., Platform], tmp_path: Path, name: str
) -> None:
    box = platform(name)
    project = box.project(tmp_path)
    backup = project.backup_prod()
    with pytest.raises((RefusedError, ToolError)) as caught:
        project.restore_prod()
    assert f"safemig restore-prod {backup.timestamp} --tables" in str(caught.value.next)
    left = "SELECT count(*) FROM pg_database WHERE datname ~ '_restored_'"
    assert box.run(box.production, left) == [(0,)]


def test_an_empty_project_is_empty_for_sync_prod_and_one_with_users_is_not(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("supabase", team=False)
    with psycopg.connect(box.production) as connection:
        assert tables_with_rows(connection) == [], "the platform's own rows are not the team's"
    box.run(box.production_admin, "INSERT INTO auth.users (id) VALUES (gen_random_uuid())")
    with psycopg.connect(box.production) as connection:
        assert tables_with_rows(connection) == ["auth.users"]
    rds = platform("rds", team=False)
    with psycopg.connect(rds.production) as connection:
        assert tables_with_rows(connection) == [], "spatial_ref_sys, which cannot be read, is the extension's"
