"""The road, and backups of databases that hold everything, on each PostgreSQL of this machine."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.copies.database_copy import restore_copy
from safemig.postgres.catalog import read_schema
from safemig.postgres.connection.connect import connect
from safemig.postgres.dump.plain import content_of
from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project
from tests.operations.conftest import FIRST, FIRST_FILE, ROWS, Shop
from tests.operations.test_generate import BY_HAND
from tests.operations.test_rollback_prod import roll_back

_numbers = itertools.count(1)

ZOO = r"""
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE SCHEMA "Other Schema";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE "Other Schema"."select" (
  "from" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "new
line" text, "qu""ote" text DEFAULT E'tab\there', é mood DEFAULT 'happy', n positive,
  doubled int GENERATED ALWAYS AS (n * 2) STORED, raw bytea, doc jsonb, tags text[], at timestamptz, price numeric, f float8);
INSERT INTO "Other Schema"."select" ("new
line", n, raw, doc, tags, at, price, f)
  SELECT E'a\\b\n\\.\n' || i, i, decode(md5(i::text), 'hex'), jsonb_build_object('i', i), ARRAY[E'\t', NULL, '"'], 'epoch', i / 3.0, i / 3.0
  FROM generate_series(1, 500) i;
CREATE TABLE events (id bigint, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT i, date '2026-01-20' + i % 30 FROM generate_series(1, 300) i;
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v text);
INSERT INTO cache VALUES ('a', NULL), ('b', '\N');
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO child VALUES (1, 'x');
CREATE TABLE empty ();
CREATE MATERIALIZED VIEW days AS SELECT day, count(*) FROM events GROUP BY day;
CREATE UNIQUE INDEX ON days (day);
ALTER TABLE cache ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON cache USING (k = current_user);
CREATE SEQUENCE loose START 5; SELECT nextval('loose');
SELECT lo_from_bytea(0, '\xdeadbeef');
CREATE FUNCTION tricky() RETURNS text LANGUAGE sql AS $$ SELECT $q$
COPY public.cache (k, v) FROM stdin;
$q$ $$;
"""
WIDE = "CREATE TABLE wide (" + ", ".join(f"c{i} int" for i in range(1600)) + ")"


@pytest.fixture
def shop_anywhere(every_server: ThrowawayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop on each major version in turn."""
    names = [f"{kind}_{next(_numbers)}" for kind in ("staging", "production")]
    urls = [every_server.create_database(name) for name in names]
    for url, rows in zip(urls, ("SELECT 1", ROWS), strict=True):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FIRST.encode())
            connection.execute(rows.encode())
            make_history(connection)
            record_applied(
                connection, FIRST_FILE[:14], "first", [FIRST], hashlib.sha256(FIRST.encode()).hexdigest(), "x"
            )
    made = Shop(tmp_path / "shop", *urls)
    monkeypatch.setenv("STAGING_DATABASE_URL", made.staging)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", made.production)
    Project.init(made.folder)
    made.write(FIRST_FILE, FIRST)
    yield made
    for name in names:
        every_server.drop_database(name)


def test_from_staging_to_production_and_back(shop_anywhere: Shop) -> None:
    shop = shop_anywhere
    with psycopg.connect(shop.production) as connection:
        before = read_schema(connection)
    shop.on(shop.staging, BY_HAND)
    assert shop.project.generate("by hand").remaining == ()
    assert str(shop.project.review().verdict) == "SAFE TO DEPLOY"
    deployed = shop.deploy()
    assert deployed.verdict == "DEPLOYED"
    assert {check.state for check in deployed.validation} == {"ok"}
    assert shop.project.migrate_staging().recorded_only == deployed.migrations
    left = shop.project.schema_diff("production", "staging")
    assert [(change.action, change.name) for change in left.changes] == [("remove", "public.users.legacy")]
    assert roll_back(shop).verdict == "ROLLED BACK"
    with psycopg.connect(shop.production) as connection:
        assert read_schema(connection).fingerprint == before.fingerprint


def test_a_database_that_holds_everything_is_backed_up_and_restored_equal(
    shop_anywhere: Shop, every_server: ThrowawayServer
) -> None:
    shop = shop_anywhere
    shop.on(shop.production, ZOO)
    shop.on(shop.production, WIDE)
    backup = shop.project.backup_prod()
    with connect(shop.production, "production") as source:
        url = restore_copy(source, every_server, f"copy_{next(_numbers)}", backup.full.path).url
    assert content_of(url, every_server.programs) == backup.tables
    assert {table.name: table.rows for table in backup.tables}['"Other Schema"."select"'] == 500
    with psycopg.connect(shop.production) as source, psycopg.connect(url) as copy:
        assert read_schema(copy).fingerprint == read_schema(source).fingerprint
        objects = "SELECT count(*), sum(octet_length(lo_get(oid))) FROM pg_largeobject_metadata"
        assert copy.execute(objects).fetchone() == source.execute(objects).fetchone() == (1, 4)
