"""Beside each boundary of a rule: what just belongs to it, and what just does not."""

from __future__ import annotations

import pytest

from safemig.review import TableFacts, TargetFacts, review
from safemig.review.facts import ColumnFacts
from safemig.review.rules.columns import _default_text
from safemig.sql import SourceFile

MERGE = "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 1"
READS = "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS '{}'; "
# (rule, what it finds, what it does not, the target's version; 0: no target)
CASES = [
    ("update-many-rows", "UPDATE users SET a = 1 WHERE id BETWEEN 100000 AND 900000000", "UPDATE users SET a = 1 WHERE id BETWEEN 100000 AND 100100", 0),
    ("update-many-rows", "UPDATE users SET a = 1 WHERE id > 7", "UPDATE users SET a = 1 WHERE id = 7", 0),
    ("needs-newer-server", f"{MERGE} RETURNING t.id", MERGE, 16),
    ("needs-newer-server", f"{MERGE} WHEN NOT MATCHED BY SOURCE THEN DELETE", MERGE, 16),
    ("needs-newer-server", MERGE, "UPDATE t SET a = 1", 14),
    ("needs-newer-server", "CREATE OR REPLACE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()", "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()", 13),
    ("needs-newer-server", "ALTER TABLE t ADD CONSTRAINT n NOT NULL a", "CREATE TABLE t (a int NOT NULL)", 17),
    ("needs-newer-server", "ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a) VIRTUAL", "ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a) STORED", 17),
    ("drop-code", "CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION a(), b()",
     "CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION a()", 0),
    ("alter-type-loses-data", "ALTER TABLE users ALTER COLUMN age TYPE bigint USING users.size::bigint",
     "ALTER TABLE users ALTER COLUMN age TYPE bigint USING users.age::bigint", 0),
    ("alter-type-loses-data", "ALTER TABLE users ALTER COLUMN age TYPE text USING left(age, 3)",
     "ALTER TABLE users ALTER COLUMN age TYPE text USING lower(age)", 0),
    ("update-erases", "UPDATE users SET a = o.x FROM (SELECT lower(u.a) AS x FROM users u) p, (SELECT NULL AS x) o",
     "UPDATE users SET a = o.x FROM (SELECT NULL AS x) p, (SELECT lower(u.a) AS x FROM users u) o", 0),
    ("drop-column", "ALTER TABLE users DROP COLUMN b", "ALTER TABLE users ADD COLUMN b int; ALTER TABLE users DROP COLUMN b", 0),
    ("unknown-function", "SELECT app.schedule_all()", "SELECT now()", 0),
    ("unrestorable-function", f"{READS.format('SELECT count(*) FROM recent')} CREATE MATERIALIZED VIEW m AS SELECT f()",
     f"{READS.format('WITH recent AS (SELECT 1) SELECT count(*) FROM recent')} CREATE MATERIALIZED VIEW m AS SELECT f()", 0),
    ("unrestorable-function", f"{READS.format('SELECT count(*) FROM recent')} CREATE MATERIALIZED VIEW m AS SELECT f()",
     f"{READS.format('SELECT count(*) FROM recent')} CREATE TABLE m AS SELECT f()", 0),
    ("identifier-too-long", f'CREATE TABLE "{"😀" * 16}" (a int)', f'CREATE TABLE "{"😀" * 15}" (a int)', 0),
    ("identifier-too-long", f'CREATE TABLE "{"語" * 22}" (a int)', f'CREATE TABLE "{"語" * 21}" (a int)', 0),
    ("identifier-too-long", f"CREATE TABLE {'a' * 64} (a int)", f"CREATE TABLE {'a' * 63} (a int)", 0),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "found", "not_found", "version"), CASES)
def test_a_rule_ends_where_it_should(rule: str, found: str, not_found: str, version: int) -> None:
    target = TargetFacts(version * 10000, "production") if version else None
    assert rule in {each.rule for each in review([SourceFile("m.sql", found)], target=target).findings}
    assert rule not in {each.rule for each in review([SourceFile("m.sql", not_found)], target=target).findings}


def test_a_column_that_the_target_has_is_dropped_with_its_values() -> None:
    users = TableFacts(1, 1, columns={"email": ColumnFacts("text")})
    target = TargetFacts(170000, "production", {"users": users})
    drop = SourceFile("m.sql", "ALTER TABLE users DROP COLUMN IF EXISTS email")
    assert "drop-column" in {each.rule for each in review([drop], target=target).findings}


TABLES = "".join(f"CREATE TABLE IF NOT EXISTS s.t{number} (a int); " for number in range(8))
EIGHT = ", ".join(f"s.t{number}" for number in range(8))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (f"{TABLES}DROP SCHEMA s CASCADE", f"drops schema s and everything in it: {EIGHT}"),
        (
            f"{TABLES}CREATE TABLE s.t8 (a int); DROP SCHEMA s CASCADE",
            f"drops schema s and everything in it: {EIGHT} …",
        ),
        ("ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users", "no index on orders (user_id) is known here"),
        ("CREATE TABLE orders (id int, user_id int REFERENCES users)", "no index on orders (user_id)"),
    ],
)
def test_a_message_says_what_is_known(sql: str, message: str) -> None:
    assert message in {each.message for each in review([SourceFile("m.sql", sql)]).findings}


@pytest.mark.parametrize(
    ("clause", "default"),
    [
        ("a uuid DEFAULT f(1) NOT NULL", "f(1)"),
        ("a int[] DEFAULT (ARRAY[1]) CHECK (a > 1)", "(ARRAY[1])"),
        ("a int DEFAULT (1 /* not */) UNIQUE", "(1 /* not */)"),
        ("a int NOT NULL", ""),
    ],
)
def test_a_default_s_text_ends_where_the_next_clause_begins(clause: str, default: str) -> None:
    assert _default_text(clause) == default


@pytest.mark.parametrize(
    ("sql", "version", "message"),
    [
        (MERGE, 14, "MERGE needs PostgreSQL 15, and the server is 14"),
        (f"{MERGE} RETURNING t.id", 16, "MERGE ... RETURNING or BY SOURCE needs PostgreSQL 17, and the server is 16"),
    ],
)
def test_the_server_s_version_is_named(sql: str, version: int, message: str) -> None:
    found = review([SourceFile("m.sql", sql)], target=TargetFacts(version * 10000, "production")).findings
    assert message in {each.message for each in found}


@pytest.mark.parametrize(
    ("role", "who"), [("anon", "anon"), ("authenticated", "authenticated"), ("PUBLIC", "every role")]
)
def test_who_may_touch_each_row_is_named(role: str, who: str) -> None:
    sql = f"CREATE TABLE public.notes (id int PRIMARY KEY); GRANT SELECT ON public.notes TO {role};"
    found = review([SourceFile("m.sql", sql)], target=TargetFacts(150000, "production", platform="Supabase")).findings
    assert any(each.message.startswith(f"{who} may touch every row of") for each in found)


@pytest.mark.parametrize(
    ("body", "fills"),
    [
        ("NEW.updated_at := now();", True),
        ("PERFORM pg_notify('users', 'x');", True),
        ("RAISE NOTICE 'x';", True),
        ("RAISE EXCEPTION 'x';", False),
        ("TRUNCATE users;", False),
        ("LOCK users;", False),
        ("CHECKPOINT;", False),
        ("ANALYZE users;", False),
        ("DELETE FROM users;", False),
        ("PERFORM count(*) FROM users;", False),
        ("EXECUTE 'TRUNCATE users';", False),
        ("CALL clean();", False),
    ],
)
def test_a_trigger_that_does_more_than_fill_the_row_is_a_caution(body: str, fills: bool) -> None:
    sql = f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;\n"
    sql += "CREATE TRIGGER t AFTER INSERT ON settings FOR EACH ROW EXECUTE FUNCTION f();"
    (found,) = [
        each for each in review([SourceFile("m.sql", sql)]).findings if each.rule == "trigger-on-existing-table"
    ]
    assert (found.severity.value, "only fills" in found.message) == (
        ("recommendation", True) if fills else ("caution", False)
    )
