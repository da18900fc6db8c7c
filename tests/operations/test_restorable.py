"""A backup says whether it can be restored: what psql alone stops at is named with its cure, and comes back all the same.

Each case is a database whose own content is valid, or was when it was written, and whose dump psql does not restore.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import psycopg
import pytest

from safemig.errors import BackupError
from safemig.postgres.dump.plain import content_of
from safemig.postgres.dump.tools import run_psql
from safemig.postgres.server.programs import server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import Shop, approval_of
from tests.tables import part_of

HELPERS = """
CREATE TABLE allowed (word text PRIMARY KEY);
INSERT INTO allowed VALUES ('a'), ('b');
CREATE FUNCTION twice(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || $1 $$;
CREATE FUNCTION shouted(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN upper(twice(t)); END $$;
"""


@dataclass(frozen=True)
class Case:
    """A database, the object at which psql stops, and words of the cure; "" for what psql alone restores."""

    sql: str
    stops_at: str = ""
    cure: str = ""


PATH = "ALTER FUNCTION public.shouted(text) SET search_path = "
# From 17 on the server itself refuses to make them; a database of before, moved by pg_upgrade, has them.
UPGRADED = "ALTER FUNCTION shouted(text) SET search_path = public; {} ALTER FUNCTION shouted(text) RESET search_path;"
CASES = {
    "a check": Case(
        "CREATE TABLE words (word text CHECK (shouted(word) <> 'XX')); INSERT INTO words VALUES ('a');",
        "TABLE DATA public.words", PATH,
    ),
    "a generated column": Case(
        "CREATE TABLE words (word text, loud text GENERATED ALWAYS AS (shouted(word)) STORED); INSERT INTO words VALUES ('a');",
        "TABLE DATA public.words", PATH,
    ),
    "an index": Case(
        UPGRADED.format("CREATE TABLE words (word text); INSERT INTO words VALUES ('a'); CREATE INDEX loud_words ON words (shouted(word));"),
        "INDEX public.loud_words", PATH,
    ),
    "a materialized view": Case(
        UPGRADED.format("CREATE MATERIALIZED VIEW loud_words AS SELECT shouted(word) AS loud FROM allowed;"),
        "MATERIALIZED VIEW DATA public.loud_words", PATH,
    ),
    "a domain with a constraint that is not valid": Case(
        "CREATE DOMAIN short AS text; CREATE TABLE words (word short); INSERT INTO words VALUES ('very long');"
        "ALTER DOMAIN short ADD CONSTRAINT is_short CHECK (length(VALUE) < 5) NOT VALID;",
    ),
    "rows that no longer hold a check": Case(
        "CREATE FUNCTION limit_of() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 100';"
        "CREATE TABLE numbers (n int CONSTRAINT below_limit CHECK (n < public.limit_of())); INSERT INTO numbers VALUES (50);"
        "CREATE OR REPLACE FUNCTION limit_of() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 10';",
        "TABLE DATA public.numbers", "below_limit (restored as NOT VALID)",
    ),
    "rows that no longer hold a foreign key": Case(
        "CREATE TABLE words (word text CONSTRAINT is_allowed REFERENCES allowed); INSERT INTO words VALUES ('a');"
        "SET session_replication_role = replica; DELETE FROM allowed; SET session_replication_role = origin;",
        "FK CONSTRAINT public.words is_allowed", "restored as NOT VALID",
    ),
    "a generated column whose function reads another table": Case(
        "CREATE TABLE z_numbers (word text PRIMARY KEY, n int); INSERT INTO z_numbers VALUES ('a', 7);"
        "CREATE FUNCTION number_of(w text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "$$ DECLARE found int; BEGIN SELECT n INTO STRICT found FROM public.z_numbers WHERE word = w; RETURN found; END $$;"
        "CREATE TABLE a_words (word text, n int GENERATED ALWAYS AS (number_of(word)) STORED); INSERT INTO a_words (word) VALUES ('a');",
    ),
}  # fmt: skip
FORMATS = ("plain", "directory")


@pytest.mark.parametrize(
    "case",
    part_of(CASES, ["an index", "rows that no longer hold a check", list(CASES)[-1]], str),
)
def test_what_psql_does_not_restore_is_named_and_comes_back(shop: Shop, server: ThrowawayServer, case: str) -> None:
    wanted = CASES[case]
    shop.on(shop.production, HELPERS + wanted.sql)
    content = content_of(shop.production, server_programs())
    for form in FORMATS if case in ("an index", "rows that no longer hold a foreign key") else ("plain",):
        (shop.folder / "safemig.toml").write_text(f'backup_format = "{form}"\n')
        backup = shop.project.backup_prod()
        assert (backup.verified, backup.verdict) == ("restored", "BACKED UP")
        told = " · ".join(backup.not_by_psql)
        assert wanted.stops_at in told
        assert wanted.cure in told
        assert json.loads(backup.manifest.read_text())["not_by_psql"] == list(backup.not_by_psql)
        assert not wanted.stops_at or "psql or pg_restore alone stops here" in backup.render("text")
        restored = shop.project.restore_prod(backup.timestamp)
        try:
            assert content_of(server.url(restored.database), server_programs()) == content
        finally:
            server.drop_database(restored.database)
    shop.write("20260202000000_more.sql", "CREATE TABLE more (id int PRIMARY KEY);")
    (shop.folder / "safemig.toml").write_text("")
    rehearsal = shop.project.rehearse()
    assert rehearsal.backup_verified == "restored"
    assert wanted.stops_at in " · ".join(rehearsal.not_by_psql)
    assert not wanted.stops_at or "psql or pg_restore alone stops here" in rehearsal.render("text")
    assert shop.deploy().verdict == "DEPLOYED"


def test_the_cure_cures(shop: Shop, server: ThrowawayServer) -> None:
    shop.on(shop.production, HELPERS + CASES["an index"].sql)
    (note,) = shop.project.backup_prod().not_by_psql
    shop.on(shop.production, note.partition("Cure: ")[2])
    backup = shop.project.backup_prod()
    assert backup.not_by_psql == ()
    run_psql(server_programs(), server.create_database("cured"), backup.full.path)
    server.drop_database("cured")


def test_what_restores_in_no_way_is_no_backup_and_names_the_object(shop: Shop) -> None:
    shop.on(
        shop.production,
        "CREATE FUNCTION at_most() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 100';"
        "CREATE TABLE numbers (n int, m int GENERATED ALWAYS AS (n / (at_most() - 99)) STORED); INSERT INTO numbers VALUES (50);"
        "CREATE OR REPLACE FUNCTION at_most() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 99';",
    )
    with pytest.raises(BackupError, match=r"TABLE DATA public\.numbers cannot be restored: division by zero") as caught:
        shop.project.backup_prod()
    assert "kept as not verified" in str(caught.value)
    (manifest,) = shop.backups.glob("manifest_*.json")
    assert json.loads(manifest.read_text())["verified"] == "read"


def test_a_backup_that_is_not_proven_says_so(shop: Shop) -> None:
    backup = shop.project.backup_prod(verify=False)
    assert (backup.verified, backup.verdict) == ("read", "BACKED UP, NOT VERIFIED")
    assert "not restored: --no-verify" in json.loads(backup.manifest.read_text())["notes"]
    assert backup.render("text").startswith("BACKED UP, NOT VERIFIED")


WHAT_IS_SET_ON_IT = """
SELECT pg_get_userbyid(datdba), datallowconn, datconnlimit, dattablespace, datistemplate, shobj_description(d.oid, 'pg_database'),
       ARRAY(SELECT a::text FROM unnest(datacl) a ORDER BY 1),
       ARRAY(SELECT setrole::regrole || ' ' || setconfig::text FROM pg_db_role_setting WHERE setdatabase = d.oid ORDER BY 1)
FROM pg_database d WHERE datname = current_database()
"""


def test_a_swap_keeps_who_may_connect_owner_settings_comment_and_limit(shop: Shop, server: ThrowawayServer) -> None:
    name = shop.production.split("/")[3].split("?")[0]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for statement in (
            'CREATE ROLE "Odd owner" LOGIN',
            "CREATE ROLE reader LOGIN",
            "CREATE ROLE giver LOGIN",
            f'ALTER DATABASE "{name}" OWNER TO "Odd owner"',
            f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
            f'REVOKE TEMPORARY ON DATABASE "{name}" FROM "Odd owner"',
            f'GRANT CONNECT ON DATABASE "{name}" TO reader',
            f'GRANT CREATE ON DATABASE "{name}" TO giver WITH GRANT OPTION',
            f'ALTER DATABASE "{name}" CONNECTION LIMIT 50',
            f"ALTER DATABASE \"{name}\" SET work_mem = '8MB'",
            f'ALTER ROLE "Odd owner" IN DATABASE "{name}" SET search_path = "a b", public',
            f"COMMENT ON DATABASE \"{name}\" IS 'the shop''s own'",
        ):
            connection.execute(statement.encode())
    before = shop.on(shop.production, WHAT_IS_SET_ON_IT)
    backup = shop.project.backup_prod()
    shop.project.restore_prod(backup.timestamp, swap=True, approve=approval_of(
        lambda: shop.project.restore_prod(backup.timestamp, swap=True)))  # fmt: skip
    assert shop.on(shop.production, WHAT_IS_SET_ON_IT) == before
    stranger = shop.production.replace("postgres@", "stranger@")
    shop.on(server.url(), "CREATE ROLE stranger LOGIN")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(stranger)
