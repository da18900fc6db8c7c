"""What the target, the applied migrations and the server's version change in a review."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from safemig.postgres.target_facts import read_target_facts
from safemig.review import (
    Acceptance,
    ColumnFacts,
    FunctionFacts,
    IndexFacts,
    Review,
    Severity,
    TableFacts,
    TargetFacts,
    Verdict,
    review,
)
from safemig.sql import LockMode, SourceFile

MIB = 1024 * 1024
COLUMNS = {
    "id": ColumnFacts("integer", not_null=True),
    "email": ColumnFacts("character varying(50)"),
    "name": ColumnFacts("text"),
}
TARGET = TargetFacts(
    170010,
    "production",
    tables={
        "big": TableFacts(80_000_000, 40_000 * MIB, COLUMNS, dependents=("view active", "foreign key orders_fk of orders")),
        "small": TableFacts(40, MIB // 8, COLUMNS),
        "unread": TableFacts(None, MIB // 8, COLUMNS),
        "checked": TableFacts(80_000_000, 40_000 * MIB, COLUMNS, not_null_checks=frozenset({"email"})),
        "indexed": TableFacts(
            80_000_000, 40_000 * MIB, COLUMNS,
            indexes={"broken_idx": IndexFacts(("email",), is_valid=False), "used_idx": IndexFacts(("name",), scans=5000)},
        ),
        "parts": TableFacts(80_000_000, 40_000 * MIB, COLUMNS, is_partitioned=True),
    },
    functions={
        "wipe": (FunctionFacts("sql", "DELETE FROM big", "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM big'"),),
        "answer": (FunctionFacts("sql", "SELECT 42", "CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'"),),
    },
    enums={"mood": ("sad", "ok")},
    constrained_domains=frozenset({"positive"}),
    time_zone="UTC",
)  # fmt: skip


def reviewed(sql: str, target: TargetFacts | None = TARGET, **options: object) -> Review:
    return review([SourceFile("m.sql", sql)], target=target, **options)  # type: ignore[arg-type]


WITH_TARGET = [
    ("an index on 40 rows is nothing", "CREATE INDEX i ON small (email)", Verdict.SAFE),
    ("an index on 80 million rows is minutes without writes", "CREATE INDEX i ON big (email)", Verdict.ATTENTION),
    ("a table that was never analysed is not taken as small", "CREATE INDEX i ON unread (email)", Verdict.ATTENTION),
    ("a rewrite of 40 rows is nothing", "ALTER TABLE small ALTER COLUMN id TYPE bigint", Verdict.SAFE),
    ("a rewrite of 80 million rows is not", "ALTER TABLE big ALTER COLUMN id TYPE bigint", Verdict.ATTENTION),
    ("a wider varchar is free", "ALTER TABLE big ALTER COLUMN email TYPE varchar(80)", Verdict.SAFE),
    ("varchar to text is free", "ALTER TABLE big ALTER COLUMN email TYPE text", Verdict.SAFE),
    ("a cast that cuts loses data", "ALTER TABLE big ALTER COLUMN email TYPE varchar(10) USING email::varchar(10)", Verdict.STOP),
    ("a cast that does not cut loses none", "ALTER TABLE big ALTER COLUMN email TYPE varchar(80) USING email::varchar(80)", Verdict.SAFE),
    ("40 rows may still be lost", "DROP TABLE small", Verdict.STOP),
    ("40 rows may still be deleted", "DELETE FROM small", Verdict.STOP),
    ("NOT NULL behind a validated check", "ALTER TABLE checked ALTER COLUMN email SET NOT NULL", Verdict.SAFE),
    ("NOT NULL where it is not null already", "ALTER TABLE big ALTER COLUMN id SET NOT NULL", Verdict.SAFE),
    ("NOT NULL without a check", "ALTER TABLE big ALTER COLUMN email SET NOT NULL", Verdict.ATTENTION),
    ("a column that is there is not added", "ALTER TABLE big ADD COLUMN IF NOT EXISTS email uuid DEFAULT gen_random_uuid()", Verdict.SAFE),
    ("a column that is not there is not dropped", "ALTER TABLE big DROP COLUMN IF EXISTS gone", Verdict.SAFE),
    ("a table that is not there is new for certain", "CREATE TABLE IF NOT EXISTS n (a int); DROP TABLE n", Verdict.SAFE),
    ("a table that is there is not created", "CREATE TABLE IF NOT EXISTS big (id int); CREATE INDEX ON big (id)", Verdict.ATTENTION),
    ("a table that is there lacks a column", "CREATE TABLE IF NOT EXISTS big (id int, extra int)", Verdict.ATTENTION),
    ("the code of a called function is followed", "SELECT wipe()", Verdict.STOP),
    ("a harmless function may be called", "SELECT answer()", Verdict.SAFE),
    ("an invalid index hides behind IF NOT EXISTS",
     "CREATE INDEX CONCURRENTLY IF NOT EXISTS broken_idx ON indexed (email)", Verdict.ATTENTION),
    ("an index on a partitioned table", "CREATE INDEX i ON parts (id)", Verdict.ATTENTION),
    ("an index ON ONLY a partitioned table builds nothing", "CREATE INDEX i ON ONLY parts (id)", Verdict.SAFE),
    ("a domain with a check writes every row", "ALTER TABLE big ADD COLUMN IF NOT EXISTS p positive", Verdict.ATTENTION),
    ("an enum made anew with all of its values",
     "ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('sad', 'ok', 'fine'); "
     "ALTER TABLE big ALTER COLUMN name TYPE mood USING name::text::mood; DROP TYPE mood_old", Verdict.ATTENTION),
    ("an enum made anew without one of its values",
     "ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('ok', 'fine'); "
     "ALTER TABLE big ALTER COLUMN name TYPE mood USING name::text::mood; DROP TYPE mood_old", Verdict.STOP),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), [row[1:] for row in WITH_TARGET], ids=[row[0] for row in WITH_TARGET])
def test_the_target_decides(sql: str, expected: Verdict) -> None:
    made = reviewed(sql)
    assert made.verdict is expected, [(finding.rule, finding.message) for finding in made.standing]


def test_estimates_and_dependents_are_named() -> None:
    [finding] = reviewed("DROP TABLE big CASCADE").standing
    assert "≈ 80,000,000" in finding.message
    assert "view active, foreign key orders_fk of orders" in finding.message
    [index] = reviewed("CREATE INDEX i ON big (email)").standing
    assert "≈ 80,000,000 rows, 39.1 GiB" in index.message


def test_what_is_assumed_is_said_only_without_a_target() -> None:
    assert any("no target" in line for line in reviewed("SELECT 1", target=None).assumptions)
    assert reviewed("SELECT 1").assumptions == ()
    assert reviewed("SELECT 1").target == "production"


def test_a_function_of_an_applied_migration_is_followed() -> None:
    applied = [SourceFile("1.sql", "CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM users'")]
    assert reviewed("SELECT wipe()", target=None, applied=applied).verdict is Verdict.STOP


def test_a_trigger_of_an_applied_migration_is_followed() -> None:
    applied = [
        SourceFile(
            "1.sql",
            "CREATE FUNCTION w() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$",
        ),
        SourceFile("2.sql", "CREATE TRIGGER t AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION w()"),
    ]
    made = reviewed("INSERT INTO log VALUES (1)", target=None, applied=applied)
    assert made.verdict is Verdict.STOP
    assert "which trigger t on log runs" in made.standing[0].message


def test_a_check_validated_by_an_applied_migration_makes_not_null_safe() -> None:
    applied = [
        SourceFile("1.sql", "ALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID"),
        SourceFile("2.sql", "ALTER TABLE users VALIDATE CONSTRAINT c"),
    ]
    third = "ALTER TABLE users ALTER COLUMN email SET NOT NULL; ALTER TABLE users DROP CONSTRAINT c"
    assert reviewed(third, target=None, applied=applied).verdict is Verdict.SAFE
    assert reviewed(third, target=None, applied=applied[:1]).verdict is Verdict.ATTENTION


def test_not_valid_and_validate_in_two_files_are_safe() -> None:
    files = [
        SourceFile("1.sql", "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0) NOT VALID"),
        SourceFile("2.sql", "ALTER TABLE users VALIDATE CONSTRAINT c"),
    ]
    assert review(files).verdict is Verdict.SAFE


def test_an_applied_migration_that_cannot_be_read_is_said() -> None:
    made = reviewed("SELECT 1", target=None, applied=[SourceFile("0.sql", "\\i x")])
    assert any("0.sql" in line for line in made.assumptions)
    assert made.verdict is Verdict.SAFE


OLD_SERVERS = [
    ("MERGE INTO s USING d ON s.id = d.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1)", 140000, Verdict.ATTENTION),
    ("MERGE INTO s USING d ON s.id = d.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1)", 150000, Verdict.SAFE),
    ("CREATE TABLE IF NOT EXISTS t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)", 170000, Verdict.ATTENTION),
    ("CREATE TABLE IF NOT EXISTS t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)", 180000, Verdict.SAFE),
    ("ALTER TABLE big DETACH PARTITION p CONCURRENTLY", 130000, Verdict.ATTENTION),
    ("ALTER TABLE big ADD CONSTRAINT c CHECK (id > 0) NOT ENFORCED", 170000, Verdict.ATTENTION),
    ("ALTER TABLE big ADD CONSTRAINT c NOT NULL email NOT VALID", 170000, Verdict.ATTENTION),
    ("ALTER TABLE big ADD CONSTRAINT c NOT NULL email NOT VALID", 180000, Verdict.SAFE),
]


@pytest.mark.parametrize(("sql", "version", "expected"), OLD_SERVERS)
def test_the_server_must_know_the_statement(sql: str, version: int, expected: Verdict) -> None:
    assert reviewed(sql, target=None, server_version=version).verdict is expected


def test_facts_are_read_from_a_server(shop: str) -> None:
    with psycopg.connect(shop) as connection:
        facts = read_target_facts(connection, "shop")
        connection.execute(b"SET TRANSACTION READ ONLY")
    users = facts.tables["users"]
    assert users.rows_estimate == 40
    assert users.size_bytes > 0
    assert users.columns["email"] == ColumnFacts("character varying(50)", null_fraction=0.0)
    assert users.columns["note"].has_default
    # from PostgreSQL 18 on, what is NOT NULL is a constraint too
    assert users.not_null_checks in ({"name"}, {"id", "n", "name"})
    assert users.constraints["unchecked"].is_validated is False
    assert users.indexes["users_n_key"].is_unique
    assert users.triggers["users_touch"].events == {"update"}
    assert "view user_names" in users.dependents
    assert facts.tables["orders"].constraints["orders_user_fk"].references == "users"
    assert facts.tables["events"].is_partitioned
    assert facts.tables["events"].default_partition == "events_rest"
    assert facts.tables["events_2025"].parent == "events"
    assert facts.tables["totals"].kind == "materialized view"
    assert facts.enums["mood"] == ("sad", "ok", "happy")
    assert facts.constrained_domains == {"positive"}
    assert facts.functions["answer"][0].volatility == "stable"
    assert facts.server_version_num // 10000 in (15, 16, 17, 18)
    assert facts.read_at is not None


def test_the_shop_s_own_code_is_followed(shop_facts: TargetFacts) -> None:
    assert reviewed("SELECT wipe()", shop_facts).verdict is Verdict.STOP
    assert reviewed("SELECT answer()", shop_facts).verdict is Verdict.SAFE
    assert reviewed("INSERT INTO teams VALUES (1, 'a')", shop_facts).verdict is Verdict.STOP
    assert reviewed("UPDATE users SET note = 'x' WHERE id = 1", shop_facts).verdict is Verdict.SAFE
    assert reviewed("ALTER TABLE users ALTER COLUMN name SET NOT NULL", shop_facts).verdict is Verdict.SAFE


def test_each_statement_carries_its_lock_and_size() -> None:
    [file] = reviewed(
        "ALTER TABLE big ADD COLUMN IF NOT EXISTS a int;\nCREATE TABLE IF NOT EXISTS n (b int REFERENCES big)"
    ).files
    first, second = file.statements
    assert (first.lock, first.rows_estimate, first.tables) == (LockMode.ACCESS_EXCLUSIVE, 80_000_000, ("big",))
    assert (second.lock, [lock.table for lock in second.locks]) == (LockMode.SHARE_ROW_EXCLUSIVE, ["big"])
    assert file.lock is LockMode.ACCESS_EXCLUSIVE


def test_a_frame_has_a_row_for_each_finding() -> None:
    accept = [Acceptance.parse("drop-column:big.email: unused")]
    frame = reviewed("ALTER TABLE big DROP COLUMN email, DROP COLUMN name", accept=accept).to_frame()
    assert list(frame["rule"]) == ["drop-column", "drop-column"]
    assert list(frame["severity"]) == [Severity.DANGEROUS.value] * 2
    assert list(frame["accepted"]) == ["unused", None]


SKIPPED = [
    ("CREATE TABLE IF NOT EXISTS big (id int, extra int)", ["extra"]),
    ("CREATE TABLE IF NOT EXISTS big (id int, email varchar(50), name text)", []),
    ("CREATE TABLE IF NOT EXISTS elsewhere (id int, extra int)", []),
]


@pytest.mark.parametrize(("sql", "missing"), SKIPPED)
def test_a_table_that_is_there_is_compared_with_the_one_that_is_wanted(sql: str, missing: list[str]) -> None:
    found = [one for one in reviewed(sql).standing if one.rule == "create-skipped"]
    assert len(found) == bool(missing)
    assert all(column in one.message for one in found for column in missing)


THERE = [
    ("CREATE TABLE big (id int)", ["big"]),
    ("CREATE TABLE public.big AS SELECT 1 AS id", ["big"]),
    ("CREATE VIEW big AS SELECT 1 AS id", ["big"]),
    ("ALTER TABLE big ADD COLUMN email text, ADD COLUMN fresh text", ["big.email"]),
    ("CREATE INDEX CONCURRENTLY used_idx ON big (email)", ["used_idx"]),
    ("CREATE TABLE IF NOT EXISTS big (id int)", []),
    ("CREATE TEMP TABLE big (id int)", []),
    ("CREATE TABLE app.big (id int)", []),
    ("SET search_path = app, public; CREATE TABLE big (id int)", []),
    ("DROP TABLE big; CREATE TABLE big (id int)", []),
    ("ALTER TABLE big RENAME TO older; CREATE TABLE big (id int)", []),
    ("ALTER TABLE big DROP COLUMN email; ALTER TABLE big ADD COLUMN email text", []),
    ("ALTER TABLE big DROP COLUMN email, ADD COLUMN email text", []),
    ("DROP INDEX used_idx; CREATE INDEX used_idx ON big (email)", []),
    ("CREATE OR REPLACE VIEW big AS SELECT 1 AS id", []),
    ("DO $$ BEGIN IF to_regclass('big') IS NULL THEN CREATE TABLE big (id int); END IF; END $$", []),
]


@pytest.mark.parametrize(("sql", "objects"), THERE)
def test_what_the_target_has_already_cannot_be_created(sql: str, objects: list[str]) -> None:
    assert [one.object for one in reviewed(sql).findings if one.rule == "already-there"] == objects


IRREVERSIBLE = [
    ("ALTER TABLE big DROP COLUMN email", True),
    ("DELETE FROM big WHERE id = 1", True),
    ("UPDATE big SET name = NULL", True),
    ("ALTER TABLE big ALTER COLUMN email TYPE varchar(3) USING left(email, 3)", True),
    ("ALTER TABLE big ADD COLUMN note text", False),
    ("CREATE INDEX i ON big (email)", False),
    ("ALTER TABLE big RENAME COLUMN email TO mail", False),
]


@pytest.mark.parametrize(("sql", "irreversible"), IRREVERSIBLE)
def test_what_no_rollback_brings_back_is_said_to_be_so(sql: str, irreversible: bool) -> None:
    made = reviewed(sql)
    assert any(finding.data_loss for finding in made.findings) is irreversible
    assert ("only a backup brings back" in made.render("text")) is irreversible


SIZED = ["DELETE FROM big WHERE id > 5", "UPDATE big SET name = 'x'", "CREATE INDEX i ON big (email)", "DROP TABLE big",
         "ALTER TABLE big ALTER COLUMN email SET NOT NULL", "ALTER TABLE big ADD CHECK (id > 0)"]  # fmt: skip


@pytest.mark.parametrize("sql", SIZED)
def test_how_many_rows_a_statement_is_about_is_said_as_an_estimate(sql: str) -> None:
    made = reviewed(sql)
    assert made.files[0].statements[0].rows_estimate == 80_000_000
    assert any("≈ 80,000,000" in finding.message for finding in made.standing)
    small = reviewed(sql.replace("big", "small"))
    assert small.files[0].statements[0].rows_estimate == 40
    assert not any("80,000,000" in finding.message for finding in small.findings)


def test_the_locks_of_hidden_statements_are_named_too() -> None:
    sql = "DO $$ BEGIN ALTER TABLE big ADD COLUMN IF NOT EXISTS a int; EXECUTE 'UPDATE small SET id = 1 WHERE id = 2'; END $$"
    [file] = reviewed(sql).files
    [statement] = file.statements
    assert {lock.table: lock.mode for lock in statement.locks} == {
        "big": LockMode.ACCESS_EXCLUSIVE,
        "small": LockMode.ROW_EXCLUSIVE,
    }
    assert statement.lock is LockMode.ACCESS_EXCLUSIVE


ODD = """
CREATE SCHEMA "odd.schema";
CREATE TABLE "odd.schema"."a.b" (id int PRIMARY KEY, "x.y" text);
CREATE TABLE "quo""ted" (id int PRIMARY KEY, p int REFERENCES "odd.schema"."a.b");
CREATE MATERIALIZED VIEW "Big View" AS SELECT * FROM "odd.schema"."a.b";
CREATE FUNCTION "odd.schema"."f.g"() RETURNS int LANGUAGE sql AS 'DELETE FROM "quo""ted" RETURNING 1';
INSERT INTO "odd.schema"."a.b" SELECT i FROM generate_series(1, 40) AS i;
ANALYZE;
"""


def test_names_with_dots_and_quotes_are_found_in_the_target(new_database: Callable[[], str]) -> None:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        connection.execute(ODD)
        facts = read_target_facts(connection, "odd")
    drop = review([SourceFile("m.sql", 'DROP TABLE "odd.schema"."a.b" CASCADE')], target=facts)
    assert {(lock.table, lock.mode) for lock in drop.files[0].statements[0].locks} == {
        ("odd.schema.a.b", LockMode.ACCESS_EXCLUSIVE),
        ('quo"ted', LockMode.ACCESS_EXCLUSIVE),
        ("Big View", LockMode.ACCESS_EXCLUSIVE),
    }
    assert drop.files[0].statements[0].rows_estimate == 40
    called = review([SourceFile("m.sql", 'SELECT "odd.schema"."f.g"()')], target=facts)
    assert "delete-rows" in {finding.rule for finding in called.standing}
    quiet = review([SourceFile("m.sql", 'CREATE INDEX ON "odd.schema"."a.b" ("x.y")')], target=facts)
    assert quiet.verdict is Verdict.SAFE  # forty rows: the target says so


def test_what_is_not_known_is_said_once_a_file() -> None:
    calls = "".join(f"SELECT nosuch({number});\n" for number in range(20))
    files = [SourceFile("a.sql", calls + "SELECT other();"), SourceFile("b.sql", calls)]
    found = [(one.file, one.line, one.object) for one in review(files).findings if one.rule == "unknown-function"]
    assert found == [("a.sql", 1, "nosuch"), ("a.sql", 21, "other"), ("b.sql", 1, "nosuch")]
    controls = review(
        [SourceFile("m.sql", "SELECT 1; COMMIT; SELECT 2; COMMIT; BEGIN; ROLLBACK PREPARED 'x';")]
    ).findings
    assert [one.line for one in controls if one.rule == "transaction-control"] == [1, 1], (
        "the first, and the dangerous one"
    )


@pytest.mark.parametrize(
    ("sql", "is_quiet"),
    [
        ("UPDATE ttrss_version SET schema_version = 86", True),
        ("UPDATE Version SET VersionId = 12", True),
        ("UPDATE db_version SET version = '1.2'", True),
        ("UPDATE document_version SET version = 2", False),
        ("UPDATE version SET value = 3", False),
        ("UPDATE app_version SET schema_version = 1, note = 'x'", False),
        ("UPDATE app_version SET schema_version = (SELECT max(n) FROM other)", False),
        ("UPDATE versions SET schema_version = 1", False),
    ],
)
def test_a_schema_s_version_is_counted_without_a_word(sql: str, is_quiet: bool) -> None:
    assert ("update-many-rows" not in {one.rule for one in review([SourceFile("m.sql", sql)]).findings}) is is_quiet


def test_a_serial_is_an_integer() -> None:
    sql = "CREATE TABLE t (a bigserial, b serial);"
    alter = "ALTER TABLE t ALTER COLUMN a TYPE bigint; ALTER TABLE t ALTER COLUMN b TYPE bigint;"
    made = review([SourceFile("0.sql", sql), SourceFile("1.sql", alter)], by_themselves=True)
    assert [one.object for one in made.standing if one.rule == "alter-column-type"] == ["t.b"]
