"""Code that the target holds already and that a migration sets off: policies, WHEN clauses, defaults, checks, rules, views."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from safemig.postgres.target_facts import read_target_facts
from safemig.review import Verdict, review
from safemig.sql import SourceFile

TARGET = """
CREATE SCHEMA app;
CREATE TABLE users (id int);
CREATE FUNCTION app.wipes(a int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
CREATE FUNCTION wipes_at_once() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
CREATE FUNCTION calm(a int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT a > 0';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE with_policy (id int);
CREATE POLICY p ON with_policy USING (app.wipes(id));
CREATE TABLE with_calm_policy (id int);
CREATE POLICY p ON with_calm_policy USING (calm(id));
CREATE TABLE with_when (id int);
CREATE TRIGGER t BEFORE UPDATE ON with_when FOR EACH ROW WHEN (app.wipes(NEW.id)) EXECUTE FUNCTION touch();
CREATE TABLE with_disabled_when (LIKE with_when);
CREATE TRIGGER t BEFORE UPDATE ON with_disabled_when FOR EACH ROW WHEN (app.wipes(NEW.id)) EXECUTE FUNCTION touch();
ALTER TABLE with_disabled_when DISABLE TRIGGER t;
CREATE TABLE with_calm_when (LIKE with_when);
CREATE TRIGGER t BEFORE UPDATE ON with_calm_when FOR EACH ROW WHEN (calm(NEW.id)) EXECUTE FUNCTION touch();
CREATE TABLE with_default (id int, n int DEFAULT wipes_at_once());
CREATE TABLE with_check (id int CHECK (app.wipes(id)));
CREATE TABLE with_calm_check (id int CHECK (calm(id)));
CREATE TABLE with_rule (id int);
CREATE RULE r AS ON INSERT TO with_rule DO ALSO DELETE FROM users;
CREATE TABLE with_calm_rule (id int);
CREATE RULE r AS ON INSERT TO with_calm_rule DO ALSO NOTHING;
CREATE VIEW wiping AS SELECT wipes_at_once() AS n;
CREATE VIEW calm_view AS SELECT calm(id) AS n FROM users;
CREATE TABLE with_extension (id uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT now());
"""
FIRED = [
    ("UPDATE with_policy SET id = 1 WHERE id = 2", "policy"),
    ("SELECT * FROM with_policy", "policy"),
    ("UPDATE with_when SET id = 1 WHERE id = 2", "WHEN"),
    ("INSERT INTO with_default (id) VALUES (1)", "wipes_at_once"),
    ("INSERT INTO with_check VALUES (1)", "wipes"),
    ("UPDATE with_check SET id = 1 WHERE id = 2", "wipes"),
    ("INSERT INTO with_rule VALUES (1)", "rule r"),
    ("DO $$ BEGIN INSERT INTO with_rule VALUES (1); END $$", "DO block"),
    ("INSERT INTO users SELECT n FROM wiping", "view wiping"),
    ("COPY with_rule FROM '/tmp/x'", "rule r"),
]
QUIET = [
    "UPDATE with_calm_policy SET id = 1 WHERE id = 2",
    "UPDATE with_calm_when SET id = 1 WHERE id = 2",
    "INSERT INTO with_when VALUES (1)",
    "UPDATE with_disabled_when SET id = 1 WHERE id = 2",
    "UPDATE with_default SET id = 1 WHERE id = 2",
    "INSERT INTO with_calm_check VALUES (1)",
    "UPDATE with_rule SET id = 1 WHERE id = 2",
    "INSERT INTO with_calm_rule VALUES (1)",
    "SELECT n FROM calm_view",
    "INSERT INTO with_extension DEFAULT VALUES",
    "ALTER TABLE with_when ADD COLUMN IF NOT EXISTS note text",
]


@pytest.fixture(scope="module")
def facts(server: object) -> object:
    url = server.create_database("target_code")  # type: ignore[attr-defined]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TARGET.encode())
        yield read_target_facts(connection, "target")
    server.drop_database("target_code")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("sql", "through"), FIRED, ids=[sql for sql, _ in FIRED])
def test_what_the_target_runs_by_itself_is_followed(facts: object, sql: str, through: str) -> None:
    made = review([SourceFile("m.sql", sql)], target=facts)  # type: ignore[arg-type]
    [finding] = [one for one in made.findings if one.rule == "delete-rows"]
    assert made.verdict is Verdict.STOP
    assert through in finding.message


@pytest.mark.parametrize("sql", QUIET)
def test_code_that_does_no_harm_or_does_not_run_is_no_finding(facts: object, sql: str) -> None:
    made = review([SourceFile("m.sql", sql)], target=facts)  # type: ignore[arg-type]
    assert made.verdict is Verdict.SAFE, made.standing


def test_functions_of_extensions_are_not_taken_as_code_that_cannot_be_read(new_database: Callable[[], str]) -> None:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        connection.execute(
            b"CREATE EXTENSION hstore; CREATE TABLE t (id int, code text DEFAULT hstore('a', 'b')::text)"
        )
        made = review([SourceFile("m.sql", "INSERT INTO t (id) VALUES (1)")], target=read_target_facts(connection, "x"))
    assert made.verdict is Verdict.SAFE, made.standing
