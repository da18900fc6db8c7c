"""What each rule's own examples lock is what PostgreSQL locks: each is run on each server, and pg_locks read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.review import review
from safemig.review.registry import all_rules, rule_named
from safemig.sql import LockMode, SourceFile, parse
from tests.review.test_rules import OF_SUPABASE

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
CREATE FUNCTION label(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE VIEW paid_orders WITH (security_invoker = true) AS SELECT id FROM orders;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION archive_old_orders() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE words (word text);
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
    "CREATE TABLE IF NOT EXISTS orders": "DROP VIEW paid_orders; DROP TABLE orders",
    "DROP INDEX users_email_idx": "CREATE INDEX users_email_idx ON users (email)",
    "REINDEX INDEX": "CREATE INDEX users_email_idx ON users (email)",
    "ALTER TABLE users NO INHERIT": "ALTER TABLE people DROP COLUMN m; ALTER TABLE users INHERIT people",
    "ALTER TABLE users INHERIT": "ALTER TABLE people DROP COLUMN m",
    "ALTER TABLE users RENAME TO people": "DROP TABLE people",
    "DROP TABLE users": "DROP VIEW paid_orders; DROP TABLE orders; DROP VIEW active_users",
    "DROP TABLE IF EXISTS a, b": "",
    "DROP MATERIALIZED VIEW m;": "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
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
    "ALTER TABLE users SET UNLOGGED": "DROP PUBLICATION p; DROP VIEW paid_orders; DROP TABLE orders",
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; INSERT INTO log": "ALTER TABLE log ADD COLUMN a int",
    "ALTER TABLE bookings": "CREATE EXTENSION btree_gist",
    "DROP EXTENSION": "CREATE EXTENSION hstore",
    "DROP FOREIGN TABLE remote": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
    "CREATE FOREIGN TABLE remote (id int) SERVER s",
    "ALTER TABLE users SET ACCESS METHOD": "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t": "CREATE TABLE t (a int, b int, c int, d int)",
    "ALTER TABLE users ADD CONSTRAINT age": "ALTER TABLE users ADD COLUMN age int",
}
# What takes no lock of a table, and why; the review must not name one either.
NO_LOCK = {
    "not SQL, or no statement at all": ("acceptance-without-effect", "cannot-be-read", "not-written-as-sql", "unreadable-body"),
    "acts on the server, a database, a library or a role": (
        "destructive-function", "drop-database", "extension-update", "other-language", "password-in-file", "server-function",
        "server-settings", "unknown-statement",
    ),
}  # fmt: skip
# What is refused, so that a lock is never held, and what nobody can know beforehand.
NOT_HERE = {
    "PostgreSQL refuses it": (
        "concurrently-in-transaction",
        "concurrently-on-partitioned",
        "enum-value-used-too-early",
        "missing-table",
    ),
    "the target's facts do not say which tables lie there": ("tablespace-move-all",),
    "a text that is not known until it runs": ("dynamic-sql",),
    "asked on Supabase only: test_supabase.py": tuple(sorted(OF_SUPABASE)),
}
NOT_THESE = (
    "ALTER SUBSCRIPTION", "DROP SUBSCRIPTION", "CREATE SUBSCRIPTION",  # want another server
    "DROP OWNED", "DROP EXTENSION hstore CASCADE",  # the target's facts do not say what belongs to a role or an extension
    "DO $$ DECLARE t text", "ROLLBACK", "DO $$ BEGIN COMMIT",  # fails here
    "DROP FOREIGN TABLE IF EXISTS f; DROP TABLE f",  # not both can be there
    "ALTER TABLE users ADD CONSTRAINT k UNIQUE USING INDEX k; DROP INDEX CONCURRENTLY k",  # PostgreSQL refuses it
    "CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent",  # refused from 17 on
    "REVOKE CONNECT ON DATABASE",  # no database is called so here
)  # fmt: skip
# Where the example reads or writes what is not there.
ELSEWHERE = {
    "'/tmp/users.csv'": "'/dev/null'", "'/var/lib/postgresql/users.csv'": "'/dev/null'", "FROM stdin": "FROM '/dev/null'",
    "TO stdout": "TO '/dev/null'", "'sh -c x'": "'cat > /dev/null'",
}  # fmt: skip
NEW_IN_18 = ("not-enforced",)
WITHOUT = {rule for rules in NO_LOCK.values() for rule in rules}
LEFT_OUT = {rule for rules in NOT_HERE.values() for rule in rules}
ALL = [
    (rule.name, example)
    for rule in all_rules()
    if rule.name not in LEFT_OUT | WITHOUT
    for example in rule.err
    if not example.startswith(NOT_THESE)
]
OUTSIDE = [one for one in ALL if "CONCURRENTLY" in one[1] or one[1].startswith("VACUUM")]
EXAMPLES = [one for one in ALL if one not in OUTSIDE and one[0] not in NEW_IN_18]
TABLES = """
SELECT c.oid::int8, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'app', 'old') AND relkind IN ('r', 'p', 'm', 'f')
"""
WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
ASKED_BY_OTHER = (
    "SELECT l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = %s AND c.relname = %s"
)
HELD = "SELECT relation::int8, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL AND granted"


@pytest.fixture(scope="module")
def ground(every_server: ThrowawayServer) -> Iterator[tuple[ThrowawayServer, str]]:
    url = every_server.create_database("examples")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BASE)
        for role in ROLES:
            connection.execute(f"CREATE ROLE {role}".encode())
        connection.execute(b"GRANT admin TO bob; SET allow_in_place_tablespaces = on")
        connection.execute(b"CREATE TABLESPACE fast LOCATION ''")
    yield every_server, url
    every_server.drop_database("examples")
    with psycopg.connect(every_server.url("postgres"), autocommit=True) as connection:
        connection.execute(b"DROP DATABASE IF EXISTS examples_prepared")
        connection.execute(b"DROP TABLESPACE fast")
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
    for ours, there in ELSEWHERE.items():
        example = example.replace(ours, there)
    try:
        url = database(ground, example)
    except psycopg.errors.FeatureNotSupported as error:
        if "is not available" not in str(error):
            raise
        pytest.skip(f"a PostgreSQL without that extension: {error.diag.message_primary}")
    with psycopg.connect(url) as connection:
        assert named_by(connection, example) == taken_by(connection, example), rule


@pytest.mark.parametrize(("rule", "example"), OUTSIDE, ids=[f"{rule}: {example[:60]}" for rule, example in OUTSIDE])
def test_the_locks_of_what_refuses_a_transaction_are_those_that_postgresql_takes(
    ground: tuple[ThrowawayServer, str], rule: str, example: str
) -> None:
    """Somebody who writes makes the last statement wait, at its lock or half-way: what it holds or wants is read."""
    url = database(ground, example, copy=True)
    *first, last = parse(example)
    [table] = last.tables
    with (
        psycopg.connect(url) as writer,
        psycopg.connect(url, autocommit=True) as runner,
        psycopg.connect(url, autocommit=True) as watcher,
    ):
        for statement in first:
            runner.execute(statement.sql.encode())
        named = named_by(watcher, last.sql)
        writer.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE".encode())

        def run() -> None:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                runner.execute(last.sql.encode())

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            [(waits,)] = watcher.execute(WAITS, [runner.info.backend_pid]).fetchall()
            if waits:
                break
            time.sleep(0.01)
        asked = watcher.execute(ASKED_BY_OTHER, [runner.info.backend_pid, table]).fetchall()
        watcher.execute("SELECT pg_cancel_backend(%s)", [runner.info.backend_pid])
        thread.join()
    strongest = max((LockMode.from_pg_locks(mode) for (mode,) in asked), key=lambda mode: mode.strength)
    assert named == {table: strongest}, rule


@pytest.mark.parametrize("rule", NEW_IN_18)
def test_what_is_new_in_18_takes_its_lock_there_and_is_refused_before(
    ground: tuple[ThrowawayServer, str], rule: str
) -> None:
    for example in rule_named(rule).err:
        with psycopg.connect(database(ground, example)) as connection:
            if connection.info.server_version >= 180000:
                assert named_by(connection, example) == taken_by(connection, example)
            else:
                with pytest.raises(psycopg.errors.SyntaxError):
                    connection.execute(example.encode())


@pytest.mark.parametrize("rule", sorted(WITHOUT))
def test_no_lock_is_named_where_none_is_taken(rule: str) -> None:
    for example in rule_named(rule).err:
        made = review([SourceFile("m.sql", example)])
        assert not [lock for statement in made.files[0].statements for lock in statement.locks]


def database(ground: tuple[ThrowawayServer, str], example: str, *, copy: bool = False) -> str:
    """Return the URL of the base, or of a copy where the example wants more, or commits."""
    server, url = ground
    before = prepared(example)
    if not before and not copy:
        return url
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(b"DROP DATABASE IF EXISTS examples_prepared")
        connection.execute(b"CREATE DATABASE examples_prepared TEMPLATE examples")
    url = server.url("examples_prepared")
    with psycopg.connect(url, autocommit=True) as connection:
        if before:
            connection.execute(before.encode())
    return url


def named_by(connection: psycopg.Connection[Any], example: str) -> dict[str, LockMode]:
    """What the review names, with the target as it is."""
    facts = read_target_facts(connection, "examples")
    connection.commit()
    named: dict[str, LockMode] = {}
    for statement in review([SourceFile("m.sql", example)], target=facts).files[0].statements:
        for lock in statement.locks:
            if lock.table not in named or named[lock.table].strength < lock.mode.strength:
                named[lock.table] = lock.mode
    return strong(named)


def taken_by(connection: psycopg.Connection[Any], example: str) -> dict[str, LockMode]:
    tables = dict(connection.execute(TABLES.encode()).fetchall())
    for statement in parse(example):
        if not statement.is_transaction_control:  # we are in a transaction already, and read its locks before it ends
            connection.execute(statement.sql.encode())
    taken: dict[str, LockMode] = {}
    for relation, spelled in connection.execute(HELD).fetchall():
        table, mode = tables.get(relation), LockMode.from_pg_locks(spelled)
        if table and (table not in taken or taken[table].strength < mode.strength):
            taken[table] = mode
    connection.rollback()
    return strong(taken)


def strong(locks: dict[str, LockMode]) -> dict[str, LockMode]:
    """Those that others can wait for, ROW EXCLUSIVE and stronger, on tables that are no catalogs."""
    return {
        name: mode
        for name, mode in locks.items()
        if mode.strength >= LockMode.ROW_EXCLUSIVE.strength and not name.startswith("pg_")
    }


def test_rules_left_out_are_rules() -> None:
    assert {rule.name for rule in all_rules()} >= LEFT_OUT | WITHOUT
    assert len(LEFT_OUT - set(OF_SUPABASE)) <= 6
