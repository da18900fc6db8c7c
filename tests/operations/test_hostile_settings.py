"""Every session has pinned settings: backup, rehearsal, deployment and restore under settings that change what is read.

Each case is set on production's database, where a role's or server's own would do the same to a session.
"""

from __future__ import annotations

import psycopg
import pytest

from safemig.errors import RefusedError
from safemig.postgres.connection import session_settings
from safemig.postgres.connection.connect import connect
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import Shop
from tests.tables import part_of

# Values whose looks, or whose reading, settings change; and two tables that a path with PostgreSQL's own names last finds.
VALUES = """
CREATE SCHEMA hostile;
CREATE TABLE hostile.pg_class (nothing int);
CREATE FUNCTION hostile.current_database() RETURNS name LANGUAGE sql AS $$ SELECT 'another'::name $$;
CREATE TABLE looks (id int PRIMARY KEY, at timestamptz, day date, span interval, price money, ratio float8, bytes bytea,
                    words text[], note text DEFAULT E'back\\\\slash', CHECK (note IS DISTINCT FROM NULL OR id > 0));
INSERT INTO looks VALUES
  (1, '2026-03-29 01:59:59.5+00', '2026-03-04', '-1 day 02:03:04', 1234.56, 0.1::float8 + 0.2::float8, '\\x00ff5c27',
   ARRAY['a', NULL, 'NULL'], E'a\\\\b''c'),
  (2, '1900-01-01 00:00:00+00', '0044-03-15 BC', '1 year -2 months +3 days', -0.01, 1e-7, '', '{}', NULL);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := coalesce(NEW.note, '') || '!'; RETURN NEW; END $$;
CREATE TRIGGER noted BEFORE UPDATE ON looks FOR EACH ROW EXECUTE FUNCTION noted();
"""
# Names no schema, reads a time without a zone, and fires a trigger.
MIGRATION = """
CREATE TABLE found_by_path (id int PRIMARY KEY, look int NOT NULL REFERENCES looks, span interval DEFAULT '-1 day 02:03:04');
ALTER TABLE looks ADD COLUMN changed timestamptz DEFAULT '2026-01-02 03:04:05';
UPDATE looks SET ratio = 1 WHERE id = 2;
"""
HOSTILE = {
    "TimeZone": "Europe/Berlin",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "search_path": "hostile, public, pg_catalog",
    "row_security": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "2",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "idle_session_timeout": "100",
    "transaction_timeout": "20",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "client_min_messages": "error",
    "synchronous_commit": "off",
    "xmloption": "document",
    "xmlbinary": "hex",
    "session_replication_role": "replica",
    "exit_on_error": "on",
    "check_function_bodies": "off",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
}
# Each alone thoroughly; by default those that change what is read by themselves, and the rest in one.
ALONE = ("TimeZone", "DateStyle", "search_path", "statement_timeout")
TOGETHER = {"together": [name for name in HOSTILE if name not in ("search_path", "statement_timeout")]}
CASES: dict[str, list[str]] = {"nothing": []} | TOGETHER | {name: [name] for name in HOSTILE}
# How migrations read a time without a zone is pinned, too; all else is as in a database that sets nothing.
WHAT_IT_HOLDS = """
SELECT concat_ws('|', id, extract(epoch FROM at)::numeric(20, 1), day, looks.span, price::numeric, ratio, encode(bytes, 'hex'),
                 words[2] IS NULL, words[3], note, extract(epoch FROM changed)::int8, found.span)
FROM public.looks LEFT JOIN LATERAL (SELECT column_default AS span FROM information_schema.columns
                                     WHERE table_name = 'found_by_path' AND column_name = 'span') found ON true
ORDER BY id
"""
EXPECTED = [
    (
        "1|1774749599.5|2026-03-04|-1 days +02:03:04|1234.56|0.30000000000000004|00ff5c27|t|NULL|a\\b'c|1767323045"
        "|'-1 days +02:03:04'::interval",
    ),
    ("2|-2208988800.0|0044-03-15 BC|10 mons 3 days|-0.01|1||t|!|1767323045|'-1 days +02:03:04'::interval",),
]


@pytest.mark.parametrize("case", part_of(CASES, ("nothing", *TOGETHER, *ALONE), str))
def test_nothing_that_a_database_sets_changes_what_is_backed_up_rehearsed_deployed_and_restored(
    shop: Shop, server: ThrowawayServer, case: str
) -> None:
    shop.on(shop.production, VALUES)
    name = shop.production.split("/")[3].split("?")[0]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        known = {each for (each,) in connection.execute("SELECT name FROM pg_settings")}
        for setting in (each for each in CASES[case] if each in known):
            value = HOSTILE[setting] if setting == "search_path" else f"'{HOSTILE[setting]}'"
            connection.execute(f'ALTER DATABASE "{name}" SET {setting} = {value}'.encode())
    shop.write("20260202000000_changes.sql", MIGRATION)
    deployed = shop.deploy()
    assert deployed.verdict == "DEPLOYED"
    assert {check.name: check.state for check in deployed.validation if check.state != "ok"} == {}
    restored = shop.project.restore_prod(shop.project.backup_prod().timestamp)
    try:
        for database in (name, restored.database):
            with connect(server.url(database), database) as connection:
                assert connection.execute(WHAT_IT_HOLDS).fetchall() == EXPECTED
    finally:
        server.drop_database(restored.database)


def hostile(server: ThrowawayServer, url: str) -> None:
    """Set all of it on a database."""
    name = url.split("/")[3].split("?")[0]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        known = {each for (each,) in connection.execute("SELECT name FROM pg_settings")}
        for setting, value in HOSTILE.items():
            if setting in known and not setting.endswith("_timeout"):
                value = value if setting == "search_path" else f"'{value}'"
                connection.execute(f'ALTER DATABASE "{name}" SET {setting} = {value}'.encode())


@pytest.mark.parametrize("own_search_path", [False, True])
def test_a_session_has_our_settings_and_the_roles_search_path(
    server: ThrowawayServer, database: str, own_search_path: bool
) -> None:
    hostile(server, database)
    with connect(database, "the database", own_search_path=own_search_path) as connection:
        for name, value in session_settings.of_version(connection.info.server_version).items():
            assert (name, connection.execute(f"SHOW {name}".encode()).fetchone()) == (name, (value,))
        shown = connection.execute("SHOW search_path").fetchone()
        assert shown == (("" if own_search_path else "pg_catalog, ") + HOSTILE["search_path"],)
        assert connection.execute("SHOW session_replication_role").fetchone() == ("origin",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("local",)


def test_a_database_that_is_read_only_on_purpose_is_backed_up_and_not_deployed_to(shop: Shop) -> None:
    shop.write("20260202000000_changes.sql", "CREATE TABLE more (id int PRIMARY KEY);")
    name = shop.production.split("/")[3].split("?")[0]
    shop.on(shop.staging, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert shop.project.restore_prod(shop.project.backup_prod().timestamp).checks[0].state == "ok"
    with pytest.raises(RefusedError, match=r"1 of .* checks failed") as caught:
        shop.deploy()
    assert "read-only by a setting of role or database" in str(caught.value)
