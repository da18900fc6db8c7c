"""The locks that the review names are the locks that PostgreSQL takes: each statement is run, and pg_locks read."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from safemig.review import TargetFacts
from safemig.review.locks import locks
from safemig.review.world import World
from safemig.sql import LockMode, parse

HELD = "SELECT relation::int8, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL AND granted"
BEFORE = """
SELECT oid::int8, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm', 'f')
"""

IN_A_TRANSACTION = """
ALTER TABLE users ADD COLUMN x int
ALTER TABLE users ADD COLUMN x int DEFAULT 1 NOT NULL
ALTER TABLE users ADD COLUMN x uuid DEFAULT gen_random_uuid()
ALTER TABLE users ADD COLUMN x int REFERENCES teams
ALTER TABLE users ADD COLUMN x int CHECK (x > 0)
ALTER TABLE users DROP COLUMN price
ALTER TABLE users ALTER COLUMN email TYPE text
ALTER TABLE users ALTER COLUMN price TYPE numeric(12, 4)
ALTER TABLE users ALTER COLUMN name SET NOT NULL
ALTER TABLE users ALTER COLUMN n DROP NOT NULL
ALTER TABLE users ALTER COLUMN note SET DEFAULT 'y'
ALTER TABLE users ALTER COLUMN note DROP DEFAULT
ALTER TABLE users ALTER COLUMN note SET STATISTICS 100
ALTER TABLE users ALTER COLUMN note SET (n_distinct = 5)
ALTER TABLE users ALTER COLUMN note SET STORAGE EXTERNAL
ALTER TABLE users SET (fillfactor = 70)
ALTER TABLE users RESET (fillfactor)
ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0)
ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0) NOT VALID
ALTER TABLE users ADD CONSTRAINT c UNIQUE (email)
ALTER TABLE people ADD PRIMARY KEY (id)
ALTER TABLE users ADD CONSTRAINT c UNIQUE USING INDEX users_n_key
ALTER TABLE users ADD CONSTRAINT c EXCLUDE USING btree (n WITH =)
ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (total) REFERENCES teams
ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (total) REFERENCES teams NOT VALID
ALTER TABLE users VALIDATE CONSTRAINT unchecked
ALTER TABLE users DROP CONSTRAINT positive_n
ALTER TABLE orders DROP CONSTRAINT orders_user_fk
ALTER TABLE orders ALTER CONSTRAINT orders_user_fk DEFERRABLE
ALTER TABLE users RENAME COLUMN note TO remark
ALTER TABLE users RENAME TO customers
ALTER TABLE users RENAME CONSTRAINT positive_n TO n_positive
ALTER TABLE users SET SCHEMA attic
ALTER TABLE users ENABLE ROW LEVEL SECURITY
ALTER TABLE users DISABLE ROW LEVEL SECURITY
ALTER TABLE users FORCE ROW LEVEL SECURITY
ALTER TABLE users OWNER TO CURRENT_USER
ALTER TABLE users DISABLE TRIGGER users_touch
ALTER TABLE users ENABLE TRIGGER ALL
ALTER TABLE users DISABLE TRIGGER USER
ALTER TABLE users ENABLE ALWAYS TRIGGER users_touch
ALTER TABLE users ENABLE REPLICA TRIGGER users_touch
ALTER TABLE people DISABLE RULE quiet
ALTER TABLE teams SET UNLOGGED
ALTER TABLE users REPLICA IDENTITY FULL
ALTER TABLE users CLUSTER ON users_pkey
ALTER TABLE users SET WITHOUT CLUSTER
ALTER TABLE events ATTACH PARTITION events_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
ALTER TABLE events DETACH PARTITION events_2025
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
CREATE TABLE fresh (a int REFERENCES users)
CREATE TABLE fresh () INHERITS (people)
CREATE TABLE fresh (LIKE users INCLUDING ALL)
CREATE TABLE fresh AS SELECT * FROM users
CREATE INDEX ON users (name)
CREATE UNIQUE INDEX ON users (lower(email))
CREATE INDEX ON events (a)
CREATE INDEX ON ONLY events (a)
ALTER TABLE events ADD COLUMN b int
TRUNCATE events
ALTER TABLE ONLY people ALTER COLUMN n SET DEFAULT 1
DROP INDEX users_email_idx
DROP TABLE orders CASCADE
DROP TABLE events_2025
DROP VIEW user_names
DROP MATERIALIZED VIEW totals
DROP TRIGGER users_touch ON users
DROP POLICY own ON users
DROP RULE quiet ON people
TRUNCATE people
LOCK TABLE users
LOCK TABLE users IN SHARE MODE
LOCK TABLE users IN ROW EXCLUSIVE MODE
REINDEX TABLE users
REINDEX INDEX users_email_idx
CLUSTER users USING users_pkey
REFRESH MATERIALIZED VIEW totals
REFRESH MATERIALIZED VIEW CONCURRENTLY totals
ANALYZE users
CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch()
CREATE RULE r AS ON DELETE TO people DO ALSO NOTHING
CREATE POLICY p ON users USING (true)
ALTER POLICY own ON users USING (false)
COMMENT ON TABLE users IS 'x'
COMMENT ON COLUMN users.id IS 'x'
GRANT SELECT ON users TO PUBLIC
INSERT INTO people VALUES (1, 2)
UPDATE users SET note = 'z'
DELETE FROM people
MERGE INTO twins p USING teams t ON p.id = t.id WHEN MATCHED THEN DELETE
WITH gone AS (DELETE FROM people RETURNING *) SELECT count(*) FROM gone
ALTER TYPE mood ADD VALUE 'calm'
ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'
ALTER DOMAIN plain ADD CHECK (VALUE > 0)
ALTER DOMAIN always SET NOT NULL
CREATE OR REPLACE VIEW user_names AS SELECT id, name FROM users
CREATE STATISTICS s ON n, id FROM users
ALTER TABLE twins INHERIT people
ALTER TABLE badges ALTER COLUMN club_id TYPE bigint
ALTER TABLE badges ALTER COLUMN id TYPE bigint
ALTER TABLE badges DROP COLUMN club_id
ALTER TABLE clubs ALTER COLUMN id TYPE bigint
ALTER TABLE clubs DROP COLUMN id CASCADE
ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE
TRUNCATE users CASCADE
TRUNCATE users, orders
DROP TYPE mood CASCADE
DROP DOMAIN plain CASCADE
CREATE PUBLICATION p FOR TABLE users, orders
ALTER SEQUENCE counter RESTART
ALTER VIEW user_names RENAME TO names
ALTER INDEX users_email_idx RENAME TO e
ALTER TRIGGER users_touch ON users RENAME TO t
ALTER POLICY own ON users RENAME TO p
DROP FUNCTION touch CASCADE
DROP STATISTICS users_stats
ALTER STATISTICS users_stats SET STATISTICS 100
ALTER STATISTICS users_stats RENAME TO s
CREATE STATISTICS s ON n, name FROM users
COMMENT ON STATISTICS users_stats IS 'x'
ALTER TABLE users ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY
""".strip().splitlines()


def named(statement: str, facts: TargetFacts) -> dict[str, LockMode]:
    """What the review names, ROW EXCLUSIVE and stronger."""
    [parsed] = parse(statement)
    found = {str(name): mode for name, mode in locks(parsed.tree, World(target=facts, pending=True)).items()}
    return {name: mode for name, mode in found.items() if mode.strength >= LockMode.ROW_EXCLUSIVE.strength}


@pytest.mark.in_turn
@pytest.mark.parametrize("statement", IN_A_TRANSACTION)
def test_the_lock_that_is_named_is_the_lock_that_is_taken(
    shop_connection: psycopg.Connection[Any], shop_facts: TargetFacts, statement: str
) -> None:
    tables = dict(shop_connection.execute(BEFORE).fetchall())
    shop_connection.execute(statement.encode())
    taken: dict[str, LockMode] = {}
    for relation, spelled in shop_connection.execute(HELD).fetchall():
        table, mode = tables.get(relation), LockMode.from_pg_locks(spelled)
        if (
            table
            and mode.strength >= LockMode.ROW_EXCLUSIVE.strength
            and (table not in taken or taken[table].strength < mode.strength)
        ):
            taken[table] = mode
    assert named(statement, shop_facts) == taken


OUTSIDE = [
    ("CREATE INDEX CONCURRENTLY c_idx ON users (name)", "users", LockMode.SHARE_UPDATE_EXCLUSIVE),
    ("DROP INDEX CONCURRENTLY users_email_idx", "users", LockMode.SHARE_UPDATE_EXCLUSIVE),
    ("REINDEX INDEX CONCURRENTLY users_n_key", "users", LockMode.SHARE_UPDATE_EXCLUSIVE),
    ("REINDEX TABLE CONCURRENTLY users", "users", LockMode.SHARE_UPDATE_EXCLUSIVE),
    ("ALTER TABLE logs DETACH PARTITION logs_2025 CONCURRENTLY", "logs", LockMode.SHARE_UPDATE_EXCLUSIVE),
]
HELD_BY_OTHER = """
SELECT l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = %s AND c.relname = %s AND l.granted
"""


@pytest.mark.parametrize(("statement", "table", "mode"), OUTSIDE, ids=[row[0][:35] for row in OUTSIDE])
def test_what_runs_concurrently_blocks_nobody(
    shop: str, shop_facts: TargetFacts, statement: str, table: str, mode: LockMode
) -> None:
    """A reader with an open transaction makes the statement wait half-way; then its locks are read, and it is cancelled."""
    with (
        psycopg.connect(shop) as reader,
        psycopg.connect(shop, autocommit=True) as runner,
        psycopg.connect(shop, autocommit=True) as watcher,
    ):
        assert named(statement, shop_facts)[table] is mode
        reader.execute(b"LOCK TABLE users IN ROW EXCLUSIVE MODE; LOCK TABLE logs_2025 IN SHARE UPDATE EXCLUSIVE MODE")
        pid = runner.info.backend_pid

        def run() -> None:
            try:
                runner.execute(statement.encode())
            except psycopg.errors.QueryCanceled:
                return

        thread = threading.Thread(target=run)
        thread.start()
        seen: set[LockMode] = set()
        deadline = time.monotonic() + 10
        while mode not in seen and time.monotonic() < deadline:
            seen |= {
                LockMode.from_pg_locks(spelled)
                for (spelled,) in watcher.execute(HELD_BY_OTHER, [pid, table]).fetchall()
            }
            time.sleep(0.01)
        watcher.execute("SELECT pg_cancel_backend(%s)", [pid])
        thread.join()
        reader.rollback()
        watcher.execute(b"DROP INDEX IF EXISTS c_idx")
        watcher.execute(b"DROP INDEX IF EXISTS users_n_key_ccnew, users_pkey_ccnew, users_email_idx_ccnew")
    assert max(seen, key=lambda one: one.strength) is mode


@pytest.mark.parametrize("mode", LockMode, ids=lambda mode: mode.value)
def test_what_each_lock_keeps_waiting_is_what_the_server_says(database: str, mode: LockMode) -> None:
    kinds = {
        "reads": "SELECT FROM t",
        "SELECT FOR UPDATE": "SELECT FROM t FOR UPDATE",
        "writes": "DELETE FROM t",
        "VACUUM and ANALYZE": "ANALYZE t",
        "CREATE INDEX": "CREATE INDEX ON t (id)",
        "most other DDL": "ALTER TABLE t ADD COLUMN b int",
    }
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int)")
    waiting = []
    for kind, statement in kinds.items():
        with psycopg.connect(database) as holder, psycopg.connect(database) as other:
            holder.execute(f"LOCK TABLE t IN {mode.value} MODE".encode())
            other.execute("SET lock_timeout = '100ms'")
            try:
                other.execute(statement.encode())
            except psycopg.errors.LockNotAvailable:
                waiting.append(kind)
            other.rollback()
            holder.rollback()
    assert mode.kept_waiting == tuple(waiting)
