"""Deletes that no statement of the file shows: each runs on a server and takes the rows, and each is found."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.review import Verdict, review
from safemig.sql import SourceFile

LABELLED = [
    json.loads(line)
    for line in (Path(__file__).parent / "corpus/labelled.jsonl").read_text(encoding="utf-8").splitlines()
]
LEVELS = {Verdict.SAFE: "safe", Verdict.ATTENTION: "caution", Verdict.STOP: "dangerous"}
WIPE = (
    "CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;\n"
    "CREATE FUNCTION wipe_t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$;\n"
)
HIDDEN = {
    "a partition's trigger, through its parent": "CREATE TABLE p (a int) PARTITION BY LIST (a);"
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
    "CREATE TRIGGER t BEFORE INSERT ON p1 FOR EACH ROW EXECUTE FUNCTION wipe_t(); INSERT INTO p VALUES (1);",
    "the trigger of an attached partition": "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 (a int);"
    "CREATE TRIGGER t BEFORE INSERT ON p1 FOR EACH ROW EXECUTE FUNCTION wipe_t();"
    "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1); INSERT INTO p VALUES (1);",
    "the trigger of a partition's partition": "CREATE TABLE p (a int, b int) PARTITION BY LIST (a);"
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (b); CREATE TABLE p2 PARTITION OF p1 FOR VALUES IN (2);"
    "CREATE TRIGGER t AFTER INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION wipe_t(); INSERT INTO p VALUES (1, 2);",
    "a child's trigger, through its parent": "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p); INSERT INTO c VALUES (1);"
    "CREATE TRIGGER t BEFORE UPDATE ON c FOR EACH ROW EXECUTE FUNCTION wipe_t(); UPDATE p SET a = 2 WHERE a = 1;",
    "the trigger of a child that joins later": "CREATE TABLE p (a int); CREATE TABLE c (a int); ALTER TABLE c INHERIT p;"
    "INSERT INTO c VALUES (1); CREATE TRIGGER t BEFORE UPDATE ON c FOR EACH ROW EXECUTE FUNCTION wipe_t(); UPDATE p SET a = 2 WHERE a = 1;",
    "a cascade's trigger on the child": "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p ON DELETE CASCADE);"
    "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);"
    "CREATE TRIGGER t AFTER DELETE ON c FOR EACH ROW EXECUTE FUNCTION wipe_t(); DELETE FROM p;",
    "a SET NULL's trigger on the child": "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p ON DELETE SET NULL);"
    "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);"
    "CREATE TRIGGER t AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION wipe_t(); DELETE FROM p;",
    "an update that cascades": "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p ON UPDATE CASCADE);"
    "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);"
    "CREATE TRIGGER t AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION wipe_t(); UPDATE p SET id = 2;",
    "an INSERT through a view": "CREATE TABLE b (a int); CREATE VIEW v AS SELECT a FROM b;"
    "CREATE TRIGGER t AFTER INSERT ON b FOR EACH ROW EXECUTE FUNCTION wipe_t(); INSERT INTO v VALUES (1);",
    "an INSERT through a view of a view": "CREATE TABLE b (a int); CREATE VIEW v AS SELECT a FROM b; CREATE VIEW w AS SELECT a FROM v;"
    "CREATE TRIGGER t AFTER INSERT ON b FOR EACH ROW EXECUTE FUNCTION wipe_t(); INSERT INTO w VALUES (1);",
    "an argument's default": "CREATE FUNCTION g(a int DEFAULT wipe()) RETURNS int LANGUAGE sql AS 'SELECT a'; SELECT g();",
    "ADD COLUMN DEFAULT on a table of the file": "CREATE TABLE b (a int); INSERT INTO b VALUES (1);"
    "ALTER TABLE b ADD COLUMN n int DEFAULT wipe();",
    "TYPE USING on a table of the file": "CREATE TABLE b (a int); INSERT INTO b VALUES (1);"
    "ALTER TABLE b ALTER COLUMN a TYPE text USING wipe()::text;",
    "a domain's new check": "CREATE DOMAIN d AS int; CREATE TABLE b (a d); INSERT INTO b VALUES (1);"
    "ALTER DOMAIN d ADD CHECK (VALUE = 0 OR wipe() > 0);",
    "a domain's new check, in a cast": "CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CHECK (wipe() > 0); SELECT 1::d;",
    "an assignment's cast": "CREATE TYPE c AS (x int); CREATE FUNCTION to_c(int) RETURNS c LANGUAGE plpgsql AS $$"
    " BEGIN PERFORM wipe(); RETURN ROW($1)::c; END $$; CREATE CAST (int AS c) WITH FUNCTION to_c(int) AS ASSIGNMENT;"
    "CREATE TABLE b (a c); INSERT INTO b VALUES (1);",
    "a function as an attribute": "CREATE TABLE b (a int); INSERT INTO b VALUES (1);"
    "CREATE FUNCTION f(b) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN wipe(); END $$; SELECT x.f FROM b x;",
    "an event trigger": "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;"
    "CREATE EVENT TRIGGER x ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION e(); CREATE TABLE b (a int);",
}
# The event trigger is there, and does not fire.
QUIET = {
    "another tag": "CREATE EVENT TRIGGER x ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION e(); CREATE SCHEMA s;",
    "a global object": "CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION e(); CREATE ROLE safemig_quiet_role; DROP ROLE safemig_quiet_role;",
    "nothing is dropped": "CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION e(); CREATE TABLE b (a int);",
    "no table is rewritten": "CREATE EVENT TRIGGER x ON table_rewrite EXECUTE FUNCTION e(); CREATE TABLE b (a int); DROP TABLE b;",
    "it is off": "CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION e(); ALTER EVENT TRIGGER x DISABLE; CREATE TABLE b (a int);",
}
EVENT = "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;\n"


def left_over(server: ThrowawayServer, sql: str) -> int:
    """Run the SQL over a table of two users, and return how many are left."""
    url = server.create_database("call_graph")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2)")
            connection.execute(sql.encode())
            row = connection.execute("SELECT count(*) FROM users").fetchone()
            assert row
            return int(row[0])
    finally:
        server.drop_database("call_graph")


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_delete_is_found(name: str) -> None:
    made = review([SourceFile("m.sql", WIPE + HIDDEN[name])])
    assert "delete-rows" in {finding.rule for finding in made.standing}
    assert made.verdict is Verdict.STOP


@pytest.mark.parametrize("name", HIDDEN)
def test_the_hidden_delete_really_runs(name: str, server: ThrowawayServer) -> None:
    assert left_over(server, WIPE + HIDDEN[name]) == 0


@pytest.mark.parametrize("name", QUIET)
def test_an_event_trigger_that_does_not_fire_is_not_said_to(name: str, server: ThrowawayServer) -> None:
    made = review([SourceFile("m.sql", EVENT + QUIET[name])])
    assert "delete-rows" not in {finding.rule for finding in made.findings}
    assert left_over(server, EVENT + QUIET[name]) == 2


def test_the_target_s_event_triggers_are_followed(server: ThrowawayServer) -> None:
    url = server.create_database("event_triggers")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                f"CREATE TABLE users (id int); {EVENT} CREATE EVENT TRIGGER x ON ddl_command_end "
                "WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION e()".encode()
            )
            facts = read_target_facts(connection, "production")
    finally:
        server.drop_database("event_triggers")
    made = review([SourceFile("m.sql", "CREATE TABLE IF NOT EXISTS b (a int);")], target=facts)
    assert [finding.rule for finding in made.standing] == ["delete-rows"]
    assert review([SourceFile("m.sql", "CREATE SCHEMA s;")], target=facts).verdict is Verdict.SAFE


@pytest.mark.parametrize("case", LABELLED, ids=[case["id"] for case in LABELLED])
def test_a_labelled_migration_gets_its_level(case: dict[str, object]) -> None:
    found = LEVELS[review([SourceFile("m.sql", str(case["sql"]))]).verdict]
    assert found in (case["danger"], *case["also_ok"]), case["why"]  # type: ignore[misc]
