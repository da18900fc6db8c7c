"""Backup and restore by a role without superuser, on every platform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from safemig.errors import BackupError, RefusedError, SettingsError, ToolError
from safemig.operations.backup_prod import require_room, share_of_backup
from safemig.operations.sync_prod import tables_with_rows
from safemig.project import Project
from safemig.results import Restored, RestoredTables
from tests.operations.conftest import approval_of
from tests.platforms.boxes import Platform, on_boxes
from tests.tables import part_of

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
@on_boxes("supabase-17", "supabase-15", "rds-17")
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

    def run(**more: str) -> Restored | RestoredTables:
        return project.restore_prod(tables=tables, put_back=True, **more)  # type: ignore[arg-type]

    done = run(approve=approval_of(run))
    assert isinstance(done, RestoredTables)
    assert done.verdict == "PUT BACK"
    assert [each.inserted for each in done.tables] == [rows] * len(done.tables)
    assert box.run(box.production, count) == good
    assert project.db_status().environments[1].problem == ""


@pytest.mark.parametrize(("name", "share"), [("heroku", 2.0), ("boss", 1.0)])
def test_on_a_platform_a_backup_asks_for_the_room_of_the_team_s_script_too(
    platform: Callable[..., Platform], tmp_path: Path, name: str, share: float
) -> None:
    with psycopg.connect(platform(name).production) as connection:
        assert share_of_backup(connection) == share
        with pytest.raises(BackupError, match=r"and the backup may take [0-9,]+\.[0-9] GiB"):
            require_room(connection, tmp_path, 1e9, "the backup", "free disk space")
        require_room(connection, tmp_path, 0.001, "the backup", "free disk space")


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


WITHOUT_A_SECOND = ["supabase", "rds", "neon", "heroku"]
HASHES = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} t"


@pytest.mark.parametrize("name", part_of(WITHOUT_A_SECOND, ["supabase", "heroku"], str))
def test_where_no_second_database_can_be_made_everything_stands_beside_and_goes_back(
    platform: Callable[..., Platform], tmp_path: Path, name: str
) -> None:
    box = platform(name)
    project = box.project(tmp_path)
    backup = project.backup_prod()
    beside = project.restore_prod()
    assert isinstance(beside, RestoredTables)
    assert beside.verdict == "RESTORED BESIDE PRODUCTION"
    assert beside.notes[0].startswith("no second database: ")
    assert beside.command == f"safemig restore-prod {backup.timestamp} --tables all --put-back"
    stored = {table.name: table.rows for table in backup.tables if table.rows}
    brought = {table.name: table.rows for table in beside.tables if table.rows}
    tables, loss, _ = LOSSES[name]
    assert {each if "." in each else f"public.{each}" for each in tables.split(",")} <= brought.keys()
    assert brought.items() <= stored.items()
    others = [each for each in stored if each not in brought and not each.startswith(("safemig.", "supabase_migr"))]
    assert all(each in " ".join(beside.notes) for each in others[:3]), (others, beside.notes)
    left = "SELECT count(*) FROM pg_database WHERE datname ~ '_restored_'"
    assert box.run(box.production, left) == [(0,)]
    with pytest.raises((RefusedError, ToolError)) as caught:
        project.restore_prod(swap=True)
    assert f"safemig restore-prod {backup.timestamp} --tables all --put-back" in str(caught.value.next)

    # On auth.users stands a trigger of the team's that makes profiles, and the table is the platform's.
    lost = tables.split(",")
    functions = "SELECT oid, pg_get_functiondef(oid), proowner, proacl::text FROM pg_proc WHERE prorettype = 'trigger'::regtype ORDER BY 1"
    made_as = box.run(box.production_admin, functions)
    good = [box.run(box.production_admin, HASHES.format(each)) for each in lost]
    box.run(box.production_admin, loss)

    def everything(**more: str) -> Restored | RestoredTables:
        return project.restore_prod(tables="all", put_back=True, **more)  # type: ignore[arg-type]

    done = everything(approve=approval_of(everything))
    assert isinstance(done, RestoredTables)
    assert done.verdict == "PUT BACK"
    assert all(check.state == "ok" for check in done.checks)
    assert [box.run(box.production_admin, HASHES.format(each)) for each in lost] == good
    assert box.run(box.production_admin, functions) == made_as
    again = everything()
    assert isinstance(again, RestoredTables)
    assert again.verdict == "NOTHING TO PUT BACK"


def test_what_cannot_go_back_is_named_and_the_rest_goes(platform: Callable[..., Platform], tmp_path: Path) -> None:
    box = platform("heroku")
    box.run(
        box.production,
        "CREATE TABLE log (line text); INSERT INTO log VALUES ('a'), ('b'); CREATE TABLE gone (id int PRIMARY KEY);"
        "INSERT INTO gone VALUES (1); CREATE TABLE parent (id int PRIMARY KEY, name text UNIQUE);"
        "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);"
        "INSERT INTO parent VALUES (1, 'one'); INSERT INTO child VALUES (1, 1)",
    )
    project = box.project(tmp_path)
    project.backup_prod()
    comments = box.run(box.production, "SELECT count(*) FROM comments")
    box.run(
        box.production,
        "DELETE FROM comments; DROP TABLE gone; DELETE FROM log WHERE line = 'a'; DELETE FROM child; DELETE FROM parent;"
        "INSERT INTO parent VALUES (2, 'one')",
    )

    def everything(**more: str) -> Restored | RestoredTables:
        return project.restore_prod(tables="all", put_back=True, **more)  # type: ignore[arg-type]

    done = everything(approve=approval_of(everything))
    assert isinstance(done, RestoredTables)
    assert box.run(box.production, "SELECT count(*) FROM comments") == comments
    said = "\n".join(done.notes)
    for words in (
        "public.log is not put back: public.log has no primary key",
        "public.gone is not put back: production no longer has that table; its rows stand in restored_",
        "public.parent is not put back: 1 rows of public.parent cannot go back: other rows have their values of (name)",
        "public.child is not put back: 1 rows of public.child refer to rows of public.parent that are not there",
    ):
        assert words in said, said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tables": "all,posts"}, "all cannot be combined with names of tables"),
        ({"tables": "all", "put_back": True, "where": "true"}, "a condition is for one table"),
        ({"tables": "all", "swap": True}, "swap is for a whole backup"),
    ],
)
def test_all_goes_alone(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    Project.init(tmp_path)
    with pytest.raises(SettingsError, match=words):
        Project.open(tmp_path).restore_prod(**options)


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
