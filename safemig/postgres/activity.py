"""What goes on in a database right now: questions for the pre-flight, each one query, reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safemig.postgres.connection import Connection

# The advisory lock that one deployment holds at a time, on a connection of its own.
DEPLOYMENT_LOCK = 0x73616665_6D6967  # "safemig"

IS_STANDBY_OR_READ_ONLY = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'"
WHO_HOLDS_DEPLOYMENT_LOCK = """
SELECT string_agg(format('pid %%s, %%s, %%s, since %%s', a.pid, a.usename, a.application_name,
       coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '?')), '; ')
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND (l.classid::bigint << 32 | l.objid::bigint) = %s AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
LONG_TRANSACTIONS = """
SELECT pid, usename, state, extract(epoch FROM clock_timestamp() - xact_start)::int
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - make_interval(secs => %s)
  AND backend_type = 'client backend'
ORDER BY xact_start
"""
PREPARED_TRANSACTIONS = "SELECT gid, owner, prepared FROM pg_prepared_xacts WHERE database = current_database()"
WHO_WAITS_FOR_WHOM = """
SELECT pid, pg_blocking_pids(pid), usename FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0
"""
# replay_lag alone does not do: it keeps its last value where a standby has stopped to replay (seen on 18).
REPLICAS = """
SELECT application_name, coalesce(extract(epoch FROM replay_lag)::int, 0),
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::int8
FROM pg_stat_replication WHERE NOT pg_is_in_recovery() ORDER BY 1
"""
SLOTS_WITHOUT_REPLICA = "SELECT slot_name FROM pg_replication_slots WHERE NOT active AND NOT temporary ORDER BY 1"
INVALID_INDEXES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i' AND n.nspname !~ '^pg_' ORDER BY 1
"""
EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"
RIGHTS = """
SELECT r.rolsuper, r.rolname FROM pg_roles r WHERE r.rolname = current_user
"""
RELATIONS_OF_OTHERS = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND c.relname = ANY (%s) AND NOT pg_has_role(coalesce(nullif(%s, ''), current_user)::name, c.relowner, 'USAGE') ORDER BY 1
"""
TABLES_WITH_ROW_SECURITY = """
SELECT count(*) FROM pg_class WHERE relrowsecurity AND relkind IN ('r', 'p') AND row_security_active(oid)
"""
SIZES = """
SELECT pg_database_size(current_database()),
       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'),
       (SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')
"""
# As the planner knows them: pg_relation_size() would take a lock on each.
SIZES_OF_TABLES = """
SELECT name, CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8 END,
       CASE WHEN c.reltuples >= 0 THEN c.relpages * current_setting('block_size')::int8 END
FROM unnest(%s::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(name)
"""
WHICH_TABLES_HOLD_DATA = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'safemig', 'supabase_migrations')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                  AND NOT has_table_privilege(c.oid, 'SELECT'))
ORDER BY 1, 2
"""
HOW_MANY_LARGE_OBJECTS = "SELECT count(*) FROM pg_largeobject_metadata"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a database is; the rows are the planner's estimate."""

    size_bytes: int
    tables: int
    rows_estimate: int


def ask(connection: Connection, question: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows that answer one of this module's questions."""
    return connection.execute(question.encode(), values or None).fetchall()


def who_deploys(connection: Connection) -> str:
    """Return who holds the deployment lock and since when, in words; "" where no one does."""
    ((holders,),) = ask(connection, WHO_HOLDS_DEPLOYMENT_LOCK, DEPLOYMENT_LOCK)
    return holders or ""


def sizes_of(connection: Connection) -> Sizes:
    """Return the size of the database that the connection is to."""
    (row,) = ask(connection, SIZES)
    return Sizes(*row)
