"""What teams do beside a good deployment: ways down that do not hold, histories that a tool left half done, new files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safemig.errors import DeploymentFailedError, MigrationError, RehearsalError
from safemig.operations.review import fix
from safemig.project import Project
from tests.layouts.conftest import Team
from tests.layouts.folders import GOOSE, NO_PRICES, PRICES
from tests.operations.conftest import approval_of

thorough = pytest.mark.thorough


@pytest.mark.parametrize(
    ("down", "why"),
    [
        ("ALTER TABLE prices DROP COLUMN cents;", "does not bring the schema back"),
        pytest.param("DROP TABLE nowhere;", "it fails on the copy", marks=thorough),
        pytest.param("DROP INDEX CONCURRENTLY i;", "cannot run in a transaction", marks=thorough),
    ],
)
def test_a_way_down_that_does_not_hold_is_not_used_and_the_rehearsal_says_why(
    down: str, why: str, team: Callable[[str], Team]
) -> None:
    ours = team("goose")
    ours.write({"migrations/00002_prices.sql": GOOSE(PRICES, down)})
    rehearsal = ours.project.rehearse()
    assert rehearsal.rollback is not None
    assert rehearsal.rollback.is_proven
    assert why in rehearsal.rollback.not_used
    assert why in " ".join(rehearsal.render("text").split())


@thorough
def test_the_rehearsal_says_that_the_rollback_is_the_teams_own(team: Callable[[str], Team]) -> None:
    text = " ".join(team("goose").project.rehearse().render("text").split())
    assert "The team's own way down of 00002_prices.sql" in text


@pytest.mark.parametrize(
    ("layout", "damage", "says"),
    [
        ("golang-migrate", "UPDATE schema_migrations SET dirty = true", "left version 1 dirty"),
        ("prisma", "UPDATE _prisma_migrations SET finished_at = NULL", "did not finish it"),
        pytest.param("flyway", "UPDATE flyway_schema_history SET success = false", "Flyway's migration 1 failed", marks=thorough),
        ("flyway", "UPDATE flyway_schema_history SET checksum = 1", "edited since: V1__users.sql"),
        pytest.param("prisma", "UPDATE _prisma_migrations SET checksum = 'x'", "edited since: 20260101000000_users/migration.sql", marks=thorough),
        pytest.param("drizzle", "UPDATE drizzle.__drizzle_migrations SET hash = 'x'", "edited since: 0000_users.sql", marks=thorough),
        pytest.param("sqitch", "UPDATE sqitch.changes SET script_hash = 'x'", "edited since: deploy/users.sql", marks=thorough),
        ("dbmate", "INSERT INTO schema_migrations VALUES ('20260105')", "is ahead of the local files: 20260105"),
        pytest.param("goose", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, true)", "is ahead of the local files: 9", marks=thorough),
        pytest.param("golang-migrate", "UPDATE schema_migrations SET version = 9", "is ahead of the local files: 9", marks=thorough),
    ],
)  # fmt: skip
def test_a_history_that_contradicts_the_files_is_refused(
    layout: str, damage: str, says: str, team: Callable[[str], Team]
) -> None:
    ours = team(layout)
    ours.on(damage)
    with pytest.raises(MigrationError, match=says):
        ours.project.plan()
    text = " ".join(ours.project.db_status("production").render("text").split())  # which looks all the same
    assert says.split(":")[-1].strip() in text


@pytest.mark.parametrize(
    ("layout", "file", "lines"),
    [
        ("dbmate", "*_add_notes.sql", ["-- migrate:up", "CREATE TABLE", "-- migrate:down", "DROP TABLE"]),
        pytest.param("golang-migrate", "000003_add_notes.up.sql", ["CREATE TABLE"], marks=thorough),
        pytest.param("golang-migrate", "000003_add_notes.down.sql", ["DROP TABLE"], marks=thorough),
        pytest.param("flyway", "V3__add_notes.sql", ["CREATE TABLE"], marks=thorough),
        pytest.param("prisma", "*_add_notes/migration.sql", ["CREATE TABLE"], marks=thorough),
        ("goose", "*_add_notes.sql", ["-- +goose Up", "-- +goose StatementBegin", "-- +goose Down"]),
    ],
)  # fmt: skip
def test_generate_writes_a_file_of_the_teams_own_form(
    layout: str,
    file: str,
    lines: list[str],
    team: Callable[[str], Team],
    new_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = team(layout)
    monkeypatch.setenv("STAGING_DATABASE_URL", new_database())
    ours.project.migrate_staging()
    staging = Team(ours.example, ours.folder, ours.project.settings.conninfo("staging"))
    staging.on("CREATE TABLE notes (id int)")
    if layout == "goose":
        staging.on("CREATE FUNCTION two() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END'")
    generated = ours.project.generate("add notes")
    assert generated.path is not None
    (path,) = (ours.folder / ours.example.folder).glob(file)
    text = path.read_text()
    at = [text.index(line) for line in lines]
    assert at == sorted(at)
    assert [each.name for each in ours.project.plan().migrations][-1].replace(" ", "_") == "add_notes"
    assert ours.project.generate("nothing more").path is None


def test_a_history_of_another_tool_is_baselined_in_its_own_table(team: Callable[[str], Team]) -> None:
    ours = team("flyway")
    ours.on("DROP TABLE flyway_schema_history")
    ours.on(PRICES)
    approved = approval_of(ours.project.baseline_prod)
    assert ours.project.baseline_prod(approve=approved).verdict == "BASELINED"
    assert ours.on(ours.example.ask) == ours.example.after


def test_flyways_repeatable_migration_runs_again_when_it_is_edited(team: Callable[[str], Team]) -> None:
    ours = team("flyway")
    ours.write({"sql/R__cheap.sql": "CREATE OR REPLACE VIEW cheap AS SELECT * FROM prices WHERE cents < 10;\n"})
    Project.migrate_staging(ours.project, target="production")
    assert ours.project.plan().migrations == ()
    ours.write({"sql/R__cheap.sql": "CREATE OR REPLACE VIEW cheap AS SELECT * FROM prices WHERE cents < 20;\n"})
    assert [each.version for each in ours.project.plan().migrations] == ["R__cheap"]
    Project.migrate_staging(ours.project, target="production")
    rows = ours.on("SELECT version, description, script FROM flyway_schema_history ORDER BY installed_rank")
    assert rows[2:] == ((None, "cheap", "R__cheap.sql"), (None, "cheap", "R__cheap.sql"))
    assert ours.project.plan().migrations == ()


def test_a_down_file_is_never_run_as_a_migration(team: Callable[[str], Team]) -> None:
    ours = team("golang-migrate")
    assert NO_PRICES.strip() not in "\n".join(step.sql for step in ours.project.plan().steps)
    review = ours.project.review()
    assert [each.name for each in review.files] == ["000002_prices.up.sql"]


def test_a_safer_form_in_two_files_is_left_to_the_tool_and_one_in_one_file_is_written(
    team: Callable[[str], Team],
) -> None:
    ours = team("golang-migrate")
    path = ours.folder / "migrations" / "000002_prices.up.sql"
    path.write_text("ALTER TABLE users ADD CONSTRAINT positive CHECK (id > 0);\n")
    with pytest.raises(MigrationError, match="needs a further file"):
        fix(ours.project.settings, prove=False)
    assert path.read_text() == "ALTER TABLE users ADD CONSTRAINT positive CHECK (id > 0);\n"
    path.write_text("CREATE TABLE prices (id bigint PRIMARY KEY, at timestamp);\n")
    fixed = fix(ours.project.settings, prove=False)
    assert path in fixed.written
    assert not list(path.parent.glob("*part*"))


def test_doctor_asks_for_rights_on_the_tools_own_history(team: Callable[[str], Team]) -> None:
    ours = team("flyway")
    ours.on(
        "DO $$ BEGIN CREATE ROLE layouts_deployer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO layouts_deployer"
    )
    url = ours.production.replace("//postgres@", "//layouts_deployer@")
    text = " ".join(ours.project.doctor(url).render("text").split())
    ours.on("DROP OWNED BY layouts_deployer")
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON public.flyway_schema_history TO layouts_deployer" in text
    assert "supabase_migrations" not in text


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("sqitch", "revert/prices.sql"),
        ("sqitch", "verify/prices.sql"),
        ("prisma", "prisma/migrations/20260102000000_prices/down.sql"),
        ("golang-migrate", "migrations/000002_prices.down.sql"),
        ("flyway", "sql/U2__unit_prices.sql"),
    ],
)
def test_an_edited_script_beside_a_migration_makes_another_plan(
    layout: str, file: str, team: Callable[[str], Team]
) -> None:
    ours = team(layout)
    plan = ours.project.plan().id
    ours.write({file: f"BEGIN;\n{NO_PRICES}-- later\nCOMMIT;\n"})
    assert ours.project.plan().id != plan


def test_sqitchs_verify_scripts_run_on_the_copy_before_commit_and_after(team: Callable[[str], Team]) -> None:
    ours = team("sqitch")
    verify = (
        "BEGIN;\n\\set ON_ERROR_STOP on\nINSERT INTO prices VALUES (1, 1);\nSELECT 1/count(*) FROM prices;\nROLLBACK;\n"
    )
    ours.write({"verify/prices.sql": "-- Verify\nBEGIN;\nSELECT nothing FROM prices WHERE false;\nROLLBACK;\n"})
    with pytest.raises(RehearsalError, match='column "nothing" does not exist') as refused:
        ours.project.rehearse()
    assert refused.value.where == "verify script of deploy/prices.sql"
    ours.write({"verify/prices.sql": verify})
    assert ours.project.rehearse().notes == ("1 verify script ran on the copy without an error",)
    here = ours.on("SHOW data_directory")[0][0]
    only_here = f"SELECT 1 / (current_setting('data_directory') <> '{here}')::int;\n"
    ours.write({"verify/prices.sql": only_here})
    with pytest.raises(DeploymentFailedError, match="division by zero"):
        ours.project.migrate_prod(approve=ours.project.plan().id)
    assert ours.on("SELECT to_regclass('prices') IS NULL") == ((True,),)
    assert ours.on(ours.example.ask) == ours.example.before
    ours.write({"verify/prices.sql": verify})
    deployment = ours.project.migrate_prod(approve=ours.project.plan().id)
    states = {check.name: check.state for check in deployment.validation}
    assert states["verify script of deploy/prices.sql"] == "ok"
    assert ours.on("SELECT count(*) FROM prices") == ((0,),), "what the script wrote was taken back"
