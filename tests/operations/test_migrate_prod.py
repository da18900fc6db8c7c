"""migrate_prod: every step in its order, nothing changed at a no, nothing lost at a failure."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    MigrationError,
    OutcomeUnknownError,
    RefusedError,
    RehearsalError,
    ReviewRefusedError,
    SafemigError,
    SettingsError,
)
from safemig.execution import commit, transaction
from safemig.operations.migrate_prod import ProductionDeployment
from safemig.postgres import activity
from safemig.postgres.connection.connect import connect
from safemig.sql.locks import LockMode
from tests.operations.conftest import Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = """
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;
"""
INDEX_FILE = "20260103000000_index.sql"
INDEX = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy, id);"


def begun(shop: Shop, last: str = "approve") -> ProductionDeployment:
    """A deployment that has gone every step up to and with `last`."""
    run = ProductionDeployment(shop.project.settings, approve=shop.project.plan().id)
    for step in ("preflight", "review", "plan", "backup", "rehearse", "approve", "deploy"):
        getattr(run, step)()
        if step == last:
            break
    return run


def test_the_whole_road(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    done = shop.deploy()
    assert done.verdict == "DEPLOYED"
    assert [check.state for check in done.validation] == ["ok"] * 5
    assert {row.table: (row.before, row.after) for row in done.rows} == {
        "public.notes": (None, 0), "public.orders": (1000, 1000), "public.users": (200, 200),
    }  # fmt: skip
    assert shop.on(shop.production, "SELECT version, name FROM supabase_migrations.schema_migrations ORDER BY 1") == [
        ("20260101000000", "first"), ("20260102000000", "second"),
    ]  # fmt: skip
    ((statements,),) = shop.on(
        shop.production, "SELECT statements FROM supabase_migrations.schema_migrations ORDER BY version DESC LIMIT 1"
    )
    assert len(statements) == 2  # type: ignore[arg-type]
    assert done.rollback and done.rollback.is_file() and done.rollback_is_proven  # noqa: PT018
    (row,) = shop.on(
        shop.production,
        "SELECT run_id, act, plan_id, transaction_id FROM safemig.deployments WHERE act = 'migrate_prod'",
    )
    assert row == (done.run_id, "migrate_prod", done.plan_id, done.transaction_id)
    assert shop.project.plan().migrations == ()


def test_the_rollback_script_is_there_before_the_deployment_and_was_run(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    before = shop.state()
    run = begun(shop, "rehearse")
    (script,) = shop.backups.glob("rollback_*.sql")
    assert script.stat().st_mode & 0o777 == 0o600
    assert "-- Proven: run on a copy" in script.read_text()
    assert "DROP TABLE IF EXISTS public.notes" in script.read_text()
    assert shop.state() == before
    assert run.rehearse is not None


def test_the_rehearsal_saw_the_real_locks_and_the_backup_restored(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    shop.write(
        INDEX_FILE.replace("index", "rewrite"),
        "ALTER TABLE orders ADD COLUMN at timestamptz DEFAULT clock_timestamp();",
    )
    rehearsal = shop.project.rehearse()
    assert rehearsal.backup_verified == "restored"
    by_number = {step.number: step for step in rehearsal.steps}
    assert by_number[1].locks == ()
    assert [(lock.object, lock.mode) for lock in by_number[2].locks] == [("public.users", LockMode.ACCESS_EXCLUSIVE)]
    assert by_number[3].rewrites == ("public.orders",)
    assert rehearsal.rollback is not None
    assert rehearsal.rollback.is_proven
    # Its own backup was thrown away; what it found is kept for the plan.
    assert {each.name for each in shop.backups.iterdir()} <= {"rehearsed_rights.json", "rehearsed_workload.json"}


def test_nothing_pending_is_a_clear_answer(shop: Shop) -> None:
    before = shop.state()
    done = shop.project.migrate_prod()
    assert done.verdict == "NOTHING TO DEPLOY"
    assert shop.state() == before
    assert not shop.backups.exists()


REFUSALS = [
    # (files, what is done on production before, error, what it says)
    ({SECOND_FILE: "DROP TABLE orders;"}, "", ReviewRefusedError, "DO NOT DEPLOY"),
    ({SECOND_FILE: "ALTER TABLE users ADD COLUMN a int NOT NULL;"}, "", SafemigError, "users"),
    ({SECOND_FILE: "CREATE TABLE IF NOT EXISTS a (id int;"}, "", RefusedError, "line 1, column 37"),
    ({SECOND_FILE: "COMMIT;"}, "", RefusedError, "COMMIT"),
    ({SECOND_FILE: "CREATE TABLE IF NOT EXISTS notes (id nope);"}, "", RehearsalError, 'type "nope" does not exist'),
    ({"20260101000000_first.sql": "SELECT 1;"}, "", RefusedError, "edited since: 20260101000000_first.sql"),
    (
        {"20260102000000_a.sql": SECOND, "20260102000000_b.sql": ""},
        "",
        RefusedError,
        "two migrations have the timestamp",
    ),
    ({"add_things.sql": "SELECT 1;"}, "", RefusedError, "14-digit timestamp"),
    (
        {},
        "INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20260109000000', 'theirs')",
        RefusedError,
        "ahead of the local files: 20260109000000_theirs",
    ),
]


@pytest.mark.parametrize(("files", "sql", "error", "words"), REFUSALS)
def test_a_no_changes_nothing(
    shop: Shop, files: dict[str, str], sql: str, error: type[SafemigError], words: str
) -> None:
    for name, text in files.items():
        shop.write(name, text)
    if sql:
        shop.on(shop.production, sql)
    before = shop.state()
    with pytest.raises(error) as caught:
        shop.project.migrate_prod(approve="")
    assert words in str(caught.value)
    assert caught.value.exit_code == 1
    assert shop.state() == before


def test_a_syntax_error_names_file_line_and_column(shop: Shop) -> None:
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS a (id int);\n\nALTER TABLE users ADD COLUM x int;")
    with pytest.raises(MigrationError) as caught:
        shop.project.plan()
    assert SECOND_FILE in str(caught.value.where)
    assert "line 3, column 31" in str(caught.value.where)


@pytest.mark.parametrize(
    ("approve", "words"), [("", "is not approved"), ("123456789abc", "approved was plan 123456789abc")]
)
def test_without_the_right_approval_nothing_is_deployed(shop: Shop, approve: str, words: str) -> None:
    shop.write(SECOND_FILE, SECOND)
    plan, before = shop.project.plan(), shop.state()
    with pytest.raises(RefusedError) as caught:
        shop.project.migrate_prod(approve=approve)
    assert words in str(caught.value)
    assert plan.id in str(caught.value)
    assert shop.state() == before


@pytest.mark.parametrize(
    ("typed", "deployed"),
    [
        ("production {id}", True),
        (" production   {id} ", True),
        ("{id}", False),
        ("staging {id}", False),
        ("yes", False),
    ],
)
def test_a_person_types_the_target_and_the_plan(shop: Shop, typed: str, deployed: bool) -> None:
    shop.write(SECOND_FILE, SECOND)
    plan = shop.project.plan()
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return typed.format(id=plan.id)

    if deployed:
        assert shop.project.migrate_prod(ask=ask).verdict == "DEPLOYED"
    else:
        with pytest.raises(RefusedError, match=f"is not 'production {plan.id}'"):
            shop.project.migrate_prod(ask=ask)
    assert f"production {plan.id}" in asked[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda shop: shop.write(SECOND_FILE, SECOND + "-- a byte more"),
        lambda shop: shop.write("20260104000000_more.sql", "CREATE TABLE IF NOT EXISTS more (id int PRIMARY KEY);"),
        lambda shop: shop.on(shop.production, "CREATE TABLE drifted (id int)"),
        lambda shop: (shop.folder / "safemig.toml").write_text('rehearsal = "schema"'),
    ],
    ids=["bytes", "files", "schema", "settings"],
)
def test_any_change_makes_another_plan(shop: Shop, change: object) -> None:
    shop.write(SECOND_FILE, SECOND)
    first = shop.project.plan().id
    assert shop.project.plan().id == first
    change(shop)  # type: ignore[operator]
    assert shop.project.plan().id != first


def test_the_plan_says_which_locks_to_expect_on_how_large_a_table(shop: Shop) -> None:
    shop.on(shop.production, "ANALYZE")
    shop.write(SECOND_FILE, SECOND + "UPDATE orders SET total = 0 WHERE id = 1; CREATE INDEX more ON notes (body);")
    before = shop.state()
    steps = shop.project.plan().steps
    found = [(lock.object, lock.mode, lock.rows) for step in steps for lock in step.locks]
    assert found == [
        ("public.users", LockMode.ACCESS_EXCLUSIVE, 200),
        ("public.orders", LockMode.ROW_EXCLUSIVE, 1000),
    ]  # none on notes, which is not there yet
    assert "Locks expected" in shop.project.plan().render("text")
    assert shop.state() == before


def test_steps_refuse_to_go_before_their_turn(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = ProductionDeployment(shop.project.settings)
    for step in ("review", "plan", "backup", "rehearse", "approve", "deploy", "validate"):
        with pytest.raises(RefusedError, match="comes first"):
            getattr(run, step)()


def test_a_schema_that_changed_after_the_rehearsal_stops_it(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = begun(shop)
    shop.on(shop.production, "CREATE TABLE drifted (id int)")
    before = shop.state()
    with pytest.raises(RefusedError, match="has changed since the plan") as caught:
        run.deploy()
    assert "add table public.drifted" in str(caught.value)
    assert shop.state() == before


def test_a_statement_that_fails_on_production_alone_is_rolled_back(shop: Shop) -> None:
    shop.write(
        SECOND_FILE,
        SECOND
        + "CREATE UNIQUE INDEX IF NOT EXISTS one ON notes (body); INSERT INTO notes SELECT id, legacy FROM users WHERE id > 200;",
    )
    run = begun(shop)
    shop.on(shop.production, "INSERT INTO users SELECT n, n::text, 'twice' FROM generate_series(201, 202) n")
    before = shop.state()
    with pytest.raises(DeploymentFailedError) as caught:
        run.deploy()
    assert caught.value.exit_code == 3
    assert "duplicate key value" in str(caught.value)
    assert "step 4" in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert shop.state() == before


def test_a_result_that_was_not_rehearsed_is_rolled_back_before_commit(shop: Shop) -> None:
    """An event trigger that acts on production only: the copy cannot show what it does."""
    name = shop.production.split("/")[3].split("?")[0]
    shop.on(
        shop.production,
        f"""
        CREATE FUNCTION more() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
          IF current_database() = '{name}' AND to_regclass('surprise') IS NULL THEN CREATE TABLE surprise (); END IF; END $$;
        CREATE EVENT TRIGGER more ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION more();
        """,
    )
    shop.write(SECOND_FILE, SECOND)
    run = begun(shop)
    before = shop.state()
    with pytest.raises(DeploymentFailedError, match="not what the rehearsal ended with") as caught:
        run.deploy()
    assert "surprise" in str(caught.value)
    assert shop.state() == before


def _hold(url: str, sql: str, seconds: float) -> threading.Thread:
    ready = threading.Event()

    def hold() -> None:
        with psycopg.connect(url, application_name="the app") as connection:
            connection.execute(sql.encode())
            ready.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    return thread


def test_a_locked_table_is_waited_for_in_short_attempts(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = begun(shop)
    thread = _hold(shop.production, "LOCK TABLE users IN ACCESS SHARE MODE", 1.5)
    done = run.deploy()
    thread.join()
    assert done.verdict == "DEPLOYED"
    (step,) = [step for step in done.steps if step.kind.startswith("ALTER TABLE")]
    assert step.attempts > 1
    assert step.lock_wait_s is not None
    assert step.lock_wait_s >= 0.1


def test_a_table_locked_for_ever_ends_it_and_names_who_holds_it(shop: Shop) -> None:
    (shop.folder / "safemig.toml").write_text("lock_attempts = 3\n")
    shop.write(SECOND_FILE, SECOND)
    run = begun(shop)
    before = shop.state()
    with psycopg.connect(shop.production) as blocker:
        blocker.execute("SELECT count(*) FROM users")
        with pytest.raises(DeploymentFailedError) as caught:
            run.deploy()
        assert "after 3 attempts" in str(caught.value)
        assert f"pid {blocker.info.backend_pid} postgres, idle in transaction" in str(caught.value)
    assert shop.state() == before


def test_two_deployments_at_once_are_refused(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = begun(shop)
    with connect(shop.production, "production", application_name="safemig other") as other:
        other.execute("SELECT pg_advisory_lock(%s)", (activity.DEPLOYMENT_LOCK,))
        with pytest.raises(RefusedError, match="another deployment is under way") as caught:
            run.deploy()
        assert "safemig other" in str(caught.value)
        assert [c.state for c in shop.project.preflight().checks if c.name == "another deployment"] == ["failed"]
    assert run.deploy().verdict == "DEPLOYED"


def test_an_index_is_built_concurrently_after_the_transaction(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    shop.write(INDEX_FILE, INDEX)
    done = shop.deploy()
    assert done.migrations == (SECOND_FILE, INDEX_FILE)
    assert shop.on(shop.production, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_legacy'::regclass") == [
        (True,)
    ]
    assert shop.on(shop.production, "SELECT count(*) FROM safemig.deployments WHERE act = 'migrate_prod'") == [(2,)]


def test_what_fails_after_the_first_commit_says_what_is_applied_and_goes_on_later(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    shop.write(
        INDEX_FILE, "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy) WHERE id > 200;"
    )
    run = begun(shop)
    shop.on(shop.production, "INSERT INTO users SELECT n, n::text, 'twice' FROM generate_series(201, 202) n")
    with pytest.raises(DeploymentStoppedError) as caught:
        run.deploy()
    assert caught.value.exit_code == 4
    assert f"applied: {SECOND_FILE}; not applied: from {INDEX_FILE} on" in str(caught.value)
    assert "the invalid public.users_legacy was removed" in str(caught.value)
    assert shop.on(shop.production, "SELECT to_regclass('users_legacy')::text") == [(None,)]
    shop.on(shop.production, "DELETE FROM users WHERE id > 200")
    assert shop.deploy().migrations == (INDEX_FILE,)


def test_what_ran_apart_before_a_failure_is_said_to_stay(shop: Shop) -> None:
    first = "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email ON users (email);"
    shop.write(INDEX_FILE, first + INDEX.replace("(legacy, id)", "(legacy) WHERE id > 200"))
    run = begun(shop)
    shop.on(shop.production, "INSERT INTO users SELECT n, n::text, 'twice' FROM generate_series(201, 202) n")
    with pytest.raises(DeploymentStoppedError, match="could not create unique index") as caught:
        run.deploy()
    assert caught.value.exit_code == 4
    assert str(caught.value.where).endswith("; applied: step 1")
    assert shop.on(shop.production, "SELECT to_regclass('users_email')::text, to_regclass('users_legacy')::text") == [
        ("users_email", None)
    ]


def test_an_unknown_outcome_of_a_later_part_stays_unknown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write(SECOND_FILE, SECOND)
    shop.write(INDEX_FILE, INDEX)
    run, real, parts = begun(shop), transaction.commit, []

    def commit(*arguments: object) -> None:
        parts.append(arguments)
        if len(parts) == 2:
            raise OutcomeUnknownError("the server is gone")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(transaction, "commit", commit)
    with pytest.raises(OutcomeUnknownError) as caught:
        run.deploy()
    assert caught.value.exit_code == 5


def test_an_invalid_index_of_that_name_is_not_believed(shop: Shop) -> None:
    shop.on(shop.production, "INSERT INTO users VALUES (0, 'zero', 'old')")
    with psycopg.connect(shop.production, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY users_legacy ON users (legacy)")
    shop.write(INDEX_FILE, INDEX)
    with pytest.raises(SafemigError, match="users_legacy"):
        shop.deploy()


def test_the_project_s_own_checks_decide_too(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    (shop.folder / "checks" / "no_inactive.sql").write_text("SELECT id FROM users WHERE NOT active")
    assert [check.name for check in shop.deploy().validation][-1] == "checks/no_inactive.sql"
    (shop.folder / "checks" / "no_users.sql").write_text("SELECT id, email FROM users ORDER BY id")
    shop.write("20260105000000_more.sql", "CREATE TABLE IF NOT EXISTS more (id int PRIMARY KEY);")
    with pytest.raises(DeploymentStoppedError, match="user1@") as caught:
        shop.deploy()
    assert "rollback-prod" in str(caught.value.next)


def test_a_connection_lost_before_commit_is_settled_as_not_done(shop: Shop) -> None:
    shop.on(
        shop.production,
        """
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER die AFTER INSERT ON safemig.deployments DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION die();
        """,
    )
    shop.write(SECOND_FILE, SECOND)
    run = begun(shop)
    before = shop.state()
    with pytest.raises(DeploymentFailedError, match="did not commit: nothing was changed"):
        run.deploy()
    assert shop.state() == before


def test_a_commit_whose_answer_was_lost_is_learnt(shop: Shop) -> None:
    with psycopg.connect(shop.production) as connection:
        ((committed,),) = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
        connection.execute(
            "INSERT INTO safemig.deployments (run_id, act, plan_id, started_at, by, migrations)"
            "VALUES ('run', 'migrate_prod', '', now(), '', '{}')"
        )
        connection.commit()
        ((aborted,),) = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
        connection.execute("CREATE TABLE undone ()")
        connection.rollback()
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    commit.settle(shop.production, "run", committed, None, lost)
    for number in (aborted, committed):  # after a failover another transaction may have the same number
        with pytest.raises(DeploymentFailedError, match="did not commit"):
            commit.settle(shop.production, "run-2", number, None, lost)


def test_a_server_that_stays_away_is_exit_code_5(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_SETTLE_SECONDS", 0.5)
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    with pytest.raises(OutcomeUnknownError) as caught:
        commit.settle("host=/nowhere dbname=x", "run", "745", None, lost)
    assert caught.value.exit_code == 5
    assert "pg_xact_status('745')" in str(caught.value.next)


def test_an_unknown_environment_is_exit_code_2(shop: Shop) -> None:
    with pytest.raises(SettingsError) as caught:
        shop.project.migrate_prod(target="prod")
    assert caught.value.exit_code == 2
