"""Schemas changed at random: whatever PostgreSQL let happen, the way there and the way back arrive.

A schema is what a list of statements makes of an empty database, each tried by itself and left out where the server
refuses it. Hypothesis shortens a list that fails. See tests/tables.py for more examples, and others.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from safemig.postgres.catalog import read_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import Schema, compare
from tests.tables import examples

# Few names, so that statements meet; one of each that must be quoted.
_NAMES = {
    "table": ("t", "u", '"Order line"', "p", "p1", "p2", "c"),
    "column": ("id", "a", "b", '"Ab ""c"', "k"),
    "type": ("integer", "bigint", "text", "varchar(20)", "numeric(8,2)", "date", "mood", "mood[]", "positive", "pair"),
    "view": ("v", "w", '"View"'),
    "function": ("f", "g"),
    "label": ("'sad'", "'ok'", "'glad'", "'it''s'"),
    "index": ("i", "j", '"Index"'),
    "constraint": ("x", "y"),
    "schema": ("public", "s"),
    "expression": (
        "a",
        "id",
        "b IS NULL",
        "coalesce(a::text, '')",
        "f(1)",
        "g(id::int)",
        "upper(b::text)",
        "'ok'::mood",
    ),
    "number": ("1", "7", "100"),
    "role": ("PUBLIC", "pg_monitor"),
    "kind": ("c", "u", "p"),
}

# Where both begin, so that there is something to change.
_FOUNDATION = (
    "CREATE SCHEMA s",
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE TYPE pair AS (x integer, y text)",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
    "CREATE FUNCTION f(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'",
    "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE t (id integer PRIMARY KEY, a text, b mood DEFAULT 'ok', k positive)",
    "CREATE TABLE u (id integer REFERENCES t, a integer DEFAULT f(1), b pair, k text GENERATED ALWAYS AS (upper('x')) STORED)",
    "CREATE TABLE p (id integer NOT NULL, a text, b mood) PARTITION BY LIST (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
    "CREATE TABLE c (k text) INHERITS (t)",
    "CREATE INDEX i ON p (a)",
    "CREATE VIEW v AS SELECT id, b FROM t WHERE b = 'ok'",
    "CREATE MATERIALIZED VIEW w AS SELECT id, count(*) FROM v GROUP BY id",
    "CREATE INDEX j ON w (id)",
    "CREATE TRIGGER i BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION tf()",
    "CREATE POLICY x ON t USING (EXISTS (SELECT FROM u WHERE u.id = t.id))",
)

_TEMPLATES = (
    "CREATE TABLE {table} ({column} {type}, {column} {type} NOT NULL)",
    "CREATE TABLE {schema}.{table} ({column} {type} DEFAULT NULL, k serial PRIMARY KEY)",
    "CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY, {column} {type}, a integer)",
    "CREATE TABLE {table} (id integer, a text, b text GENERATED ALWAYS AS (upper(a)) STORED)",
    "CREATE TABLE p (id integer NOT NULL, a text, b integer) PARTITION BY LIST (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN ({number})",
    "CREATE TABLE p2 PARTITION OF p DEFAULT",
    "CREATE TABLE p2 (id integer NOT NULL, a text, b integer)",
    "ALTER TABLE p ATTACH PARTITION {table} FOR VALUES IN ({number}, 8)",
    "ALTER TABLE p DETACH PARTITION {table}",
    "CREATE TABLE c ({column} {type}) INHERITS ({table})",
    "ALTER TABLE {table} INHERIT {table}",
    "ALTER TABLE {table} NO INHERIT {table}",
    "DROP TABLE {table}",
    "DROP TABLE {table} CASCADE",
    "ALTER TABLE {table} RENAME TO {table}",
    "ALTER TABLE {table} SET SCHEMA {schema}",
    "ALTER TABLE {table} ADD COLUMN {column} {type}",
    "ALTER TABLE {table} ADD COLUMN {column} {type} DEFAULT NULL CHECK ({expression} IS NOT NULL)",
    "ALTER TABLE {table} ADD COLUMN {column} text GENERATED ALWAYS AS ({expression}) STORED",
    "ALTER TABLE {table} DROP COLUMN {column}",
    "ALTER TABLE {table} DROP COLUMN {column} CASCADE",
    "ALTER TABLE {table} RENAME COLUMN {column} TO {column}",
    "ALTER TABLE {table} ALTER COLUMN {column} TYPE {type} USING NULL",
    "ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {expression}",
    "ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT",
    "ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL",
    "ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL",
    "ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {number}",
    "ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL",
    "ALTER TABLE {table} SET (fillfactor = 70)",
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} REPLICA IDENTITY FULL",
    "ALTER TABLE {table} ADD CONSTRAINT {constraint} CHECK ({expression} IS NOT NULL)",
    "ALTER TABLE {table} ADD CONSTRAINT {constraint} CHECK (id > {number}) NOT VALID",
    "ALTER TABLE {table} ADD CONSTRAINT {constraint} UNIQUE ({column}, id)",
    "ALTER TABLE {table} ADD PRIMARY KEY (id)",
    "ALTER TABLE {table} ADD CONSTRAINT {constraint} FOREIGN KEY (id) REFERENCES {table} (id) ON DELETE CASCADE",
    "ALTER TABLE {table} ADD CONSTRAINT {constraint} FOREIGN KEY (b) REFERENCES {table} DEFERRABLE",
    "ALTER TABLE {table} DROP CONSTRAINT {constraint}",
    "ALTER TABLE {table} DROP CONSTRAINT {constraint} CASCADE",
    "CREATE INDEX {index} ON {table} ({column}) WHERE {expression} IS NOT NULL",
    "CREATE UNIQUE INDEX {index} ON {table} (id, {column} DESC)",
    "CREATE INDEX {index} ON {table} (({expression}))",
    "DROP INDEX {index}",
    "CREATE STATISTICS {index} ON id, {column} FROM {table}",
    "CREATE TYPE mood AS ENUM ({label}, 'ok')",
    "CREATE TYPE mood AS ENUM ('ok', {label})",
    "ALTER TYPE mood RENAME VALUE {label} TO {label}",
    "DROP TYPE mood CASCADE",
    "CREATE TYPE pair AS (x integer, y {type})",
    "ALTER TYPE pair ADD ATTRIBUTE z {type}",
    "ALTER TYPE pair DROP ATTRIBUTE y CASCADE",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > {number})",
    "ALTER DOMAIN positive SET DEFAULT {number}",
    "ALTER DOMAIN positive ADD CONSTRAINT {constraint} CHECK (VALUE < 1000)",
    "CREATE SEQUENCE {schema}.q INCREMENT {number}",
    "ALTER SEQUENCE q OWNED BY {table}.{column}",
    "ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('q')",
    "CREATE OR REPLACE FUNCTION f(n integer DEFAULT {number}) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 + {number}'",
    "CREATE OR REPLACE FUNCTION g(n integer) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE FUNCTION f(n integer) RETURNS SETOF {table} LANGUAGE sql AS 'SELECT * FROM {table}'",
    "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE FUNCTION at() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM {table}; END",
    "DROP FUNCTION {function} CASCADE",
    "CREATE VIEW {view} AS SELECT * FROM {table}",
    "CREATE VIEW {view} AS SELECT id, {column} AS z FROM {table} WHERE {expression} IS NOT NULL",
    "CREATE VIEW {view} AS SELECT x.*, {number} AS n FROM {view} x",
    "CREATE MATERIALIZED VIEW {view} AS SELECT {column}, count(*) FROM {table} GROUP BY 1",
    "CREATE OR REPLACE VIEW {view} WITH (security_barrier) AS SELECT id FROM {table}",
    "ALTER VIEW {view} SET (security_invoker = true)",
    "DROP VIEW {view} CASCADE",
    "CREATE TRIGGER {index} BEFORE UPDATE OF {column} ON {table} FOR EACH ROW EXECUTE FUNCTION tf()",
    "CREATE TRIGGER {index} AFTER INSERT ON {table} FOR EACH ROW WHEN (NEW.{column} IS NULL) EXECUTE FUNCTION tf()",
    "ALTER TABLE {table} DISABLE TRIGGER {index}",
    "CREATE RULE {constraint} AS ON DELETE TO {table} DO INSTEAD NOTHING",
    "CREATE POLICY {constraint} ON {table} USING ({expression} IS NOT NULL)",
    "CREATE POLICY {constraint} ON {table} FOR SELECT TO {role} USING (EXISTS (SELECT FROM {table} o WHERE o.id IS NULL))",
    "COMMENT ON TABLE {table} IS {label}",
    "COMMENT ON COLUMN {table}.{column} IS {label}",
    "COMMENT ON VIEW {view} IS {label}",
    "COMMENT ON INDEX {index} IS {label}",
    "COMMENT ON CONSTRAINT {constraint} ON {table} IS {label}",
    "GRANT SELECT, INSERT ON {table} TO {role}",
    "GRANT UPDATE ({column}) ON {table} TO {role}",
    "GRANT SELECT ON {view} TO {role}",
    "REVOKE ALL ON FUNCTION {function} FROM PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}",
    "CREATE PUBLICATION pub FOR TABLE {table}",
    "ALTER PUBLICATION pub ADD TABLE {table} WHERE (id > {number})",
)


@st.composite
def _statement(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(_TEMPLATES))
    while "{" in text:
        start, end = text.index("{"), text.index("}")
        text = text[:start] + draw(st.sampled_from(_NAMES[text[start + 1 : end]])) + text[end + 1 :]
    return text


_STATEMENTS = st.lists(_statement(), max_size=10)


def _run(connection: psycopg.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        try:
            with connection.transaction():
                connection.execute(statement.encode())
        except psycopg.Error:
            continue


def _make(connection: psycopg.Connection, statements: Sequence[str]) -> Schema:
    connection.rollback()
    _run(connection, (*_FOUNDATION, *statements))
    return read_schema(connection)


@examples(
    30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(some=_STATEMENTS, others=_STATEMENTS)
def test_two_random_schemas_become_each_other(server: ThrowawayServer, some: list[str], others: list[str]) -> None:
    with psycopg.connect(server.url()) as connection:
        target = _make(connection, others)
        base = _make(connection, some)
        for wanted in (target, base):
            script = compare(read_schema(connection), wanted)
            try:
                connection.execute(script.sql.encode() or b"SELECT")
            except psycopg.Error as error:
                raise AssertionError(f"does not apply: {error}\n{script.sql}") from None
            rest = compare(read_schema(connection), wanted)
            assert rest.is_empty, f"left: {rest.changes}\n{rest.sql}\nof:\n{script.sql}"
        connection.rollback()
