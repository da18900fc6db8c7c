"""Sessions that hold statements prepared: which get 0A000 after a change is foretold, and is what psycopg then meets."""

from __future__ import annotations

import psycopg
import pytest

from safemig.results import Step
from safemig.workload.check import WorkloadTrial
from safemig.workload.statement import SeenWorkload, Statement, identity
from safemig.workload.texts import Kept, kept
from safemig.workload_facts import WorkloadCheck

START = """
DROP TABLE IF EXISTS t, u, b2 CASCADE; DROP FUNCTION IF EXISTS f(int);
CREATE TABLE t (id int PRIMARY KEY, name varchar(10), amount numeric(10,2) DEFAULT 1, at timestamp, note text);
CREATE TABLE u (id bigint PRIMARY KEY, t_id int REFERENCES t);
INSERT INTO t SELECT n, 'n' || n FROM generate_series(1, 20) n;
DROP TABLE IF EXISTS b CASCADE; CREATE TABLE b (id int, name text, note text); CREATE VIEW v AS SELECT id, name FROM b;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
"""
CHANGES_RESULT = [
    ("SELECT * FROM t WHERE id = %s", "ALTER TABLE t ADD COLUMN more int"),
    ("INSERT INTO u (id) VALUES (%s) RETURNING *", "ALTER TABLE u ADD COLUMN more int"),
    ("UPDATE t SET note = 'x' WHERE id = %s RETURNING *", "ALTER TABLE t ADD COLUMN more int"),
    ("DELETE FROM u WHERE id = %s RETURNING *", "ALTER TABLE u ADD COLUMN more int"),
    ("SELECT name FROM t WHERE id = %s", "ALTER TABLE t ALTER name TYPE varchar(20)"),
    ("SELECT t.note FROM t WHERE id = %s", "ALTER TABLE t ALTER note TYPE varchar(50)"),
    ("SELECT id FROM t WHERE id = %s", "ALTER TABLE t ALTER id TYPE bigint"),
    ("SELECT amount FROM t WHERE id = %s", "ALTER TABLE t ALTER amount TYPE numeric(12,2)"),
    ("SELECT at FROM t WHERE id = %s", "ALTER TABLE t ALTER at TYPE timestamptz"),
    ("SELECT * FROM t WHERE id = %s", "ALTER TABLE t RENAME COLUMN note TO remark"),
    ("SELECT * FROM t WHERE id = %s", "ALTER TABLE t DROP COLUMN note"),
    ("SELECT * FROM v WHERE id = %s", "CREATE OR REPLACE VIEW v AS SELECT id, name, note FROM b"),
    ("SELECT f(%s)", "DROP FUNCTION f(int); CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql AS 'SELECT $1::bigint'"),
    ("SELECT note FROM t WHERE id = %s", 'ALTER TABLE t ALTER note TYPE text COLLATE "C"'),
]
FINE = [
    ("SELECT id, name FROM t WHERE id = %s", "ALTER TABLE t ADD COLUMN more int"),
    ("INSERT INTO u (id) VALUES (%s)", "ALTER TABLE u ADD COLUMN more int"),
    ("SELECT count(*) FROM t WHERE id > %s", "ALTER TABLE t ADD COLUMN more int"),
    ("SELECT * FROM t WHERE id = %s", "ALTER TABLE t ALTER note SET DEFAULT 'x'"),
    ("SELECT * FROM t WHERE id = %s", "CREATE INDEX t_name ON t (name)"),
    ("SELECT * FROM t WHERE id = %s", "ALTER TABLE t ALTER name SET NOT NULL"),
    ("SELECT * FROM t WHERE id = %s", "ALTER TABLE t ADD CONSTRAINT positive CHECK (amount > 0)"),
    ("SELECT id, name FROM t WHERE id = %s", "ALTER TABLE t DROP COLUMN note"),
    ("UPDATE t SET note = 'x' WHERE id = %s", "ALTER TABLE t ALTER name TYPE text"),
    ("SELECT name FROM t WHERE id = %s", "ALTER TABLE t ALTER id TYPE bigint"),
    ("SELECT id::bigint FROM t WHERE id = %s", "ALTER TABLE t ALTER id TYPE bigint"),
    ("SELECT id, name FROM b WHERE id = %s", "ALTER TABLE b RENAME TO b2; CREATE VIEW b AS SELECT * FROM b2"),
    ("SELECT f(%s)", "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'"),
    ("SELECT * FROM v WHERE id = %s", "ALTER TABLE b ADD COLUMN more int"),
]  # fmt: skip


def seen(*texts: str, role: str = "") -> SeenWorkload:
    """Return a workload of these statements, each called ten times."""
    found = [each for each in map(kept, texts) if isinstance(each, Kept)]
    assert len(found) == len(texts)
    return SeenWorkload(
        "production",
        tuple(
            Statement(identity(each.text, role, "d"), each.text, role, "d", each.kind, "sql", calls=10)
            for each in found
        ),
    )


def checked(
    url: str, workload: SeenWorkload, *changes: str, back: str = "", newer: SeenWorkload | None = None
) -> WorkloadCheck:
    """Try a workload before and after changes, each a step, and after `back`."""
    steps = [Step(number, "m.sql", number, "", change) for number, change in enumerate(changes, 1)]
    with psycopg.connect(url, autocommit=True) as connection, WorkloadTrial(url, workload, newer) as trial:
        trial.before(steps)
        for change in changes:
            connection.execute(change.encode())
        trial.after()
        if back:
            connection.execute(back.encode())
            trial.after_rollback()
        return trial.result(steps)


def met_by_psycopg(url: str, statement: str, change: str) -> str:
    """Return the SQLSTATE that a session meets which has the statement prepared; "" where it meets none."""
    with psycopg.connect(url, autocommit=True) as application, psycopg.connect(url, autocommit=True) as other:
        for number in range(7):  # psycopg prepares at the sixth
            application.execute(statement.encode(), [100 + number])
        other.execute(change.encode())
        try:
            application.execute(statement.encode(), [1])
        except psycopg.Error as error:
            return error.sqlstate or "?"
    return ""


@pytest.mark.parametrize(("statement", "change"), [*CHANGES_RESULT, *FINE])
def test_a_session_with_prepared_statements_meets_what_is_foretold(database: str, statement: str, change: str) -> None:
    expected = "0A000" if (statement, change) in CHANGES_RESULT else ""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(START.encode())
    assert met_by_psycopg(database, statement, change) == expected
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(START.encode())
    found = checked(database, seen(statement.replace("%s", "$1")), change)
    assert found.checked == 1
    assert [(each.kind, each.sqlstate) for each in found.findings] == ([("result-type", "0A000")] if expected else [])
