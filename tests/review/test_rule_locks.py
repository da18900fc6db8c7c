"""What each rule's own examples lock is what PostgreSQL locks: each is run on each server, and pg_locks read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from safemig.postgres.facts import read_target_facts
from safemig.postgres.server import ThrowawayServer
from safemig.review import review
from safemig.review.rule import all_rules
from safemig.sql import LockMode, SourceFile, parse

BASE = """
CREATE TYPE mood AS ENUM ('meh', 'happy');
CREATE TYPE address AS (street text, zip text);
CREATE DOMAIN email AS text;
CREATE SEQUENCE order_number;
CREATE SEQUENCE users_id_seq;
CREATE SCHEMA app;
CREATE SCHEMA old;
CREATE TABLE app.things (id int);
CREATE TABLE teams (id int PRIMARY KEY);
CREATE TABLE users (
    id int CONSTRAINT users_pkey PRIMARY KEY, email text NOT NULL, name text, phone text, legacy text, active boolean, code text,
    price numeric(10, 2), note text, data jsonb, tags text[], address email, total int, team int
);
CREATE TABLE people (LIKE users);
ALTER TABLE people ADD COLUMN m mood;
CREATE TABLE orders (
    id int PRIMARY KEY, user_id int CONSTRAINT orders_user_id_fkey REFERENCES users, state text
);
CREATE TABLE settings (key text PRIMARY KEY, value text);
CREATE TABLE audit (id int);
CREATE TABLE log (LIKE users);
CREATE TABLE archive (LIKE orders);
CREATE TABLE stock (id int, amount int);
CREATE TABLE delivery (id int, amount int);
CREATE TABLE bookings (room int, during int4range);
CREATE TABLE events (at date) PARTITION BY RANGE (at);
CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_2025 (at date);
CREATE TABLE a (id int);
CREATE TABLE b (id int);
CREATE VIEW active_users AS SELECT id FROM users WHERE active;
CREATE MATERIALIZED VIEW sales AS SELECT 1 AS n;
CREATE MATERIALIZED VIEW sales_by_day AS SELECT 1 AS n;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION archive_old_orders() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PUBLICATION p FOR TABLE users;
"""
ROLES = ("app", "bob", "leaver", "admin", "app_owner")
# What must be there before an example, beyond the base: by the beginning of the example.
BEFORE = {
    "ALTER TABLE users ADD COLUMN total int GENERATED": "ALTER TABLE users DROP COLUMN total, ADD COLUMN a int, ADD COLUMN b int",
    "ALTER TABLE users ADD PRIMARY KEY (id)": "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE",
    "ALTER TABLE users ADD PRIMARY KEY USING INDEX": "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE; "
    "CREATE UNIQUE INDEX users_id_idx ON users (id)",
    "ALTER TABLE users ALTER COLUMN a TYPE": "ALTER TABLE users ADD COLUMN a text",
    "ALTER TABLE users ADD CONSTRAINT": "ALTER TABLE users ADD COLUMN age int",
    "ALTER TABLE users ALTER COLUMN total DROP EXPRESSION": "ALTER TABLE users DROP COLUMN total; "
    "ALTER TABLE users ADD COLUMN total int GENERATED ALWAYS AS (1) STORED",
    "ALTER TABLE users ALTER COLUMN id DROP IDENTITY": "ALTER TABLE users ALTER id ADD GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE users DISABLE TRIGGER touch": "CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()",
    "DROP TRIGGER": "CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()",
    "DROP POLICY": "CREATE POLICY own ON users USING (true)",
    "DROP RULE": "CREATE RULE r AS ON DELETE TO users DO ALSO NOTHING",
    "ALTER POLICY": "CREATE POLICY p ON users USING (true)",
    "ALTER DOMAIN email DROP": "ALTER DOMAIN email ADD CONSTRAINT has_at CHECK (VALUE ~ '@')",
    "CREATE DOMAIN email": "DROP DOMAIN email CASCADE",
    "ALTER TABLE users DROP CONSTRAINT users_pkey": "",
    "CREATE TABLE IF NOT EXISTS orders": "DROP TABLE orders",
    "DROP INDEX users_email_idx": "CREATE INDEX users_email_idx ON users (email)",
    "REINDEX INDEX": "CREATE INDEX users_email_idx ON users (email)",
    "ALTER TABLE users NO INHERIT": "ALTER TABLE people DROP COLUMN m; ALTER TABLE users INHERIT people",
    "ALTER TABLE users INHERIT": "ALTER TABLE people DROP COLUMN m",
    "ALTER TABLE users RENAME TO people": "DROP TABLE people",
    "DROP TABLE users": "DROP TABLE orders; DROP VIEW active_users",
    "DROP TABLE IF EXISTS a, b": "",
    "DROP TYPE mood": "ALTER TABLE people DROP COLUMN m",
    "DROP TYPE mood CASCADE": "",
    "DROP EVENT TRIGGER": "CREATE EVENT TRIGGER guard ON ddl_command_start EXECUTE FUNCTION refuse()",
    "REFRESH MATERIALIZED": "",
    "ALTER PUBLICATION p DROP TABLE users": "",
    "ALTER TABLE users ADD COLUMN team": "ALTER TABLE users DROP COLUMN team",
    "ALTER TABLE users ADD COLUMN code": "ALTER TABLE users DROP COLUMN code",
    "ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey": "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey",
    "ALTER TABLE users ALTER COLUMN id TYPE": "DROP VIEW active_users",
    "CREATE FUNCTION f()": "DROP FUNCTION f()",
    "ALTER TABLE users SET UNLOGGED": "DROP PUBLICATION p; DROP TABLE orders",
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; INSERT INTO log": "ALTER TABLE log ADD COLUMN a int",
}
# What cannot be run in a transaction that is rolled back here, or not at all, and why.
NOT_HERE = {
    "not SQL, or no statement at all": ("acceptance-without-effect", "cannot-be-read", "unreadable-body"),
    "refused in a transaction, or ends it": (
        "concurrently-in-transaction", "concurrently-on-partitioned", "index-guard-hides-invalid", "needs-own-file", "transaction-control",
        "vacuum-full", "wide-or-hash-index", "drop-database", "enum-value-used-too-early",
    ),
    "acts outside of the database, or on its catalogs": (
        "copy-from", "copy-program", "destructive-function", "server-function", "server-settings", "catalog-change", "dynamic-sql",
    ),
    "wants an extension, a language, a tablespace or another server": (
        "add-exclusion", "extension-update", "other-language", "tablespace-move-all", "drop-foreign-table", "unknown-statement",
    ),
    "PostgreSQL 18 only": ("not-enforced",),
}  # fmt: skip
NOT_THESE = (
    "ALTER SUBSCRIPTION", "DROP SUBSCRIPTION", "CREATE SUBSCRIPTION", "ALTER TABLE users SET TABLESPACE", "DROP EXTENSION",
    "ALTER TABLE users SET ACCESS METHOD", "SET allow_system_table_mods", "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE",
    "DROP OWNED", "DO $$ DECLARE t text", "CREATE USER app", "DROP FOREIGN TABLE",
)  # fmt: skip
LEFT_OUT = {rule for rules in NOT_HERE.values() for rule in rules}
EXAMPLES = [
    (rule.name, example)
    for rule in all_rules()
    if rule.name not in LEFT_OUT
    for example in rule.err
    if not example.startswith(NOT_THESE)
]
TABLES = """
SELECT c.oid::int8, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'app', 'old') AND relkind IN ('r', 'p', 'm', 'f')
"""
HELD = "SELECT relation::int8, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL AND granted"


@pytest.fixture(scope="module")
def ground(every_server: ThrowawayServer) -> Iterator[tuple[ThrowawayServer, str]]:
    url = every_server.create_database("examples")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BASE)
        for role in ROLES:
            connection.execute(f"CREATE ROLE {role}".encode())
        connection.execute(b"GRANT admin TO bob")
    yield every_server, url
    every_server.drop_database("examples")
    with psycopg.connect(every_server.url("postgres"), autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"DROP ROLE {role}".encode())


def prepared(example: str) -> str:
    """What the longest key of BEFORE that fits the example says."""
    fitting = [key for key in BEFORE if example.startswith(key)]
    return BEFORE[max(fitting, key=len)] if fitting else ""


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[f"{rule}: {example[:60]}" for rule, example in EXAMPLES])
def test_the_locks_of_a_rules_example_are_those_that_postgresql_takes(
    ground: tuple[ThrowawayServer, str], rule: str, example: str
) -> None:
    server, url = ground
    name = ""
    if before := prepared(example):
        name = "examples_prepared"
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(b"DROP DATABASE IF EXISTS examples_prepared")
            connection.execute(b"CREATE DATABASE examples_prepared TEMPLATE examples")
        url = server.url(name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(before.encode())
    with psycopg.connect(url) as connection:
        facts = read_target_facts(connection, "examples")
        connection.commit()
        made = review([SourceFile("m.sql", example)], target=facts)
        named: dict[str, LockMode] = {}
        for statement in made.files[0].statements:
            for lock in statement.locks:
                if lock.table not in named or named[lock.table].strength < lock.mode.strength:
                    named[lock.table] = lock.mode
        assert strong(named) == taken_by(connection, example), rule


def taken_by(connection: psycopg.Connection[Any], example: str) -> dict[str, LockMode]:
    tables = dict(connection.execute(TABLES.encode()).fetchall())
    for statement in parse(example):
        connection.execute(statement.sql.encode())
    taken: dict[str, LockMode] = {}
    for relation, spelled in connection.execute(HELD).fetchall():
        table, mode = tables.get(relation), LockMode.from_pg_locks(spelled)
        if table and (table not in taken or taken[table].strength < mode.strength):
            taken[table] = mode
    connection.rollback()
    return strong(taken)


def strong(locks: dict[str, LockMode]) -> dict[str, LockMode]:
    """Those that others can wait for: ROW EXCLUSIVE and stronger."""
    return {name: mode for name, mode in locks.items() if mode.strength >= LockMode.ROW_EXCLUSIVE.strength}


def test_rules_left_out_are_rules() -> None:
    assert {rule.name for rule in all_rules()} >= LEFT_OUT
