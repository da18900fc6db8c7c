"""sync_prod: only for a production without a single row."""

from __future__ import annotations

import re

import pytest

from safemig.errors import RefusedError, UnreachableError
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.conftest import MAJORS
from tests.operations.conftest import Shop


def _approved(shop: Shop) -> str:
    with pytest.raises(RefusedError, match="is not approved") as caught:
        shop.project.sync_prod()
    return str(caught.value.next).split("--approve ")[1].split()[0]


def test_a_production_with_rows_is_refused_and_the_tables_named(shop: Shop) -> None:
    before = shop.state()
    with pytest.raises(RefusedError, match=r"holds data in 2 tables: public\.orders, public\.users"):
        shop.project.sync_prod()
    assert shop.state() == before


def test_one_row_is_enough(shop: Shop) -> None:
    shop.on(shop.production, "DELETE FROM orders; DELETE FROM users WHERE id > 1")
    with pytest.raises(RefusedError, match=r"holds data in 1 tables: public\.users"):
        shop.project.sync_prod()


HIDING_PLACES = [
    ("CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1)", "public.p1"),
    ("CREATE TABLE child () INHERITS (users); INSERT INTO child VALUES (1, 'a', 'b')", "public.child"),
    ("CREATE UNLOGGED TABLE quick (id int); INSERT INTO quick VALUES (1)", "public.quick"),
    ('CREATE SCHEMA "o ther"; CREATE TABLE "o ther"."t ""x""" (); INSERT INTO "o ther"."t ""x""" DEFAULT VALUES', 'o ther.t "x"'),
]  # fmt: skip


@pytest.mark.parametrize(("made", "named"), HIDING_PLACES)
def test_a_row_is_found_wherever_it_is(shop: Shop, made: str, named: str) -> None:
    shop.on(shop.production, "DELETE FROM orders; DELETE FROM users;" + made)
    with pytest.raises(RefusedError, match=re.escape(named)):
        shop.project.sync_prod()


def test_rows_that_a_policy_hides_are_not_taken_for_none(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.on(
        shop.production,
        "DO $$ BEGIN CREATE ROLE hidden_from LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"
        "GRANT USAGE ON SCHEMA supabase_migrations, safemig TO hidden_from;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, supabase_migrations, safemig TO hidden_from;"
        "DELETE FROM orders; ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "hidden_from@"))
    before = shop.state()
    with pytest.raises(UnreachableError, match="row-level security"):
        shop.project.sync_prod()
    assert shop.state() == before


def test_an_empty_production_gets_the_schema_and_the_history_of_staging(shop: Shop) -> None:
    shop.on(shop.production, "DELETE FROM orders; DELETE FROM users; CREATE TABLE forgotten (id int)")
    shop.write(
        "20260102000000_second.sql",
        "ALTER TABLE users DROP COLUMN legacy; CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY);",
    )
    shop.project.migrate_staging()
    done = shop.project.sync_prod(approve=_approved(shop))
    assert done.verdict == "SYNCED"
    assert shop.project.schema_diff("production", "staging").is_empty
    assert done.backup is not None
    assert done.backup.is_file()
    assert shop.project.plan().migrations == ()
    assert shop.project.sync_prod().verdict == "NOTHING TO SYNC"


def test_a_row_that_comes_between_stops_it(shop: Shop) -> None:
    shop.on(shop.production, "DELETE FROM orders; DELETE FROM users; CREATE TABLE forgotten (id int)")
    for url in (shop.production, shop.staging):
        shop.on(
            url,
            """
            CREATE FUNCTION sneak() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
              INSERT INTO users VALUES (1, 'a', 'b'); END $$;
            CREATE EVENT TRIGGER sneak ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION sneak();
            """,
        )
    before = shop.state()
    with pytest.raises(RefusedError, match=r"holds data in 1 tables: public\.users"):
        shop.project.sync_prod(approve=_approved(shop))
    assert shop.state() == before


def test_staging_may_be_of_another_major_version(
    shop: Shop, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = next((major for major in MAJORS if major != server.major), None)
    if other is None:
        pytest.skip("one major version of PostgreSQL is on this machine")
    shop.on(shop.production, "DELETE FROM orders; DELETE FROM users")
    with ThrowawayServer.start(major=other) as another:
        shop.staging = another.create_database("staging")
        monkeypatch.setenv("STAGING_DATABASE_URL", shop.staging)
        shop.project.migrate_staging()
        shop.on(shop.staging, "CREATE VIEW mails AS SELECT u.email FROM users u WHERE u.email IN ('a', 'b')")
        assert shop.project.sync_prod(approve=_approved(shop)).verdict == "SYNCED"
        assert shop.project.schema_diff("production", "staging").is_empty
        assert shop.project.sync_prod().verdict == "NOTHING TO SYNC"
