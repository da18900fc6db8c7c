"""What a copy holds since a moment: equal to a reading of all of it, whatever was done; and only what changed is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from safemig.copies import changed_content
from safemig.copies.changed_content import Moment, content_since
from safemig.copies.content import read_columns
from safemig.postgres.dump.plain import content_of
from safemig.postgres.server.throwaway import ThrowawayServer

MADE = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN short AS varchar(20);
CREATE TABLE users (id bigint PRIMARY KEY, email varchar(40), mood mood, moods mood[], nick short);
CREATE TABLE pairs (id int PRIMARY KEY, pair pair, whole users, relation regclass);
CREATE TABLE alone (id int PRIMARY KEY, t text);
CREATE TABLE bare ();
CREATE TABLE "a ""b"".c
d" ("x y" text);
CREATE TABLE parent (id int, t text);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE parts (id int, t text) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2);
CREATE UNLOGGED TABLE quick (id int);
INSERT INTO users SELECT n, 'u' || n, 'good', '{bad,good}', 'n' FROM generate_series(1, 50) n;
INSERT INTO pairs SELECT 1, (1, 2)::pair, u, 'alone'::regclass FROM users u WHERE id = 1;
INSERT INTO alone SELECT n, repeat(md5(n::text), 200) FROM generate_series(1, 50) n;
INSERT INTO bare DEFAULT VALUES;
INSERT INTO "a ""b"".c
d" VALUES ('z');
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c');
INSERT INTO parts VALUES (1, 'a'), (2, 'b'); INSERT INTO quick VALUES (1);
"""
EVERYTHING = {
    "public.users", "public.pairs", "public.alone", "public.bare", 'public."a ""b"".c\nd"', "public.parent",
    "public.child", "public.part_1", "public.part_2", "public.quick",
}  # fmt: skip
# What a composite, a regclass and a virtual column look like lies elsewhere than in the row.
ALWAYS = {"public.pairs", "public.derived"}

DONE = [
    # (what is done, which tables are read again; None: all, for there are large objects)
    ("", set()),
    ("SELECT 1 FROM users FOR UPDATE", set()),
    ("VACUUM FREEZE", set()),
    ("ANALYZE; CREATE INDEX ON alone (t)", set()),
    ("DELETE FROM pairs; DELETE FROM users", {"public.users"}),
    ("UPDATE alone SET t = t WHERE id = 3", {"public.alone"}),
    ("BEGIN; SAVEPOINT a; UPDATE alone SET t = 'x' WHERE id = 3; RELEASE a; COMMIT", {"public.alone"}),
    ("BEGIN; UPDATE alone SET t = 'x'; ROLLBACK", set()),
    ("DELETE FROM alone WHERE id = 3", {"public.alone"}),
    ("DELETE FROM alone WHERE id = 3; INSERT INTO alone VALUES (3, 'other')", {"public.alone"}),
    ("INSERT INTO alone VALUES (99, 'other'); DELETE FROM alone WHERE id = 99", set()),
    ("UPDATE alone SET t = 'x' WHERE id = 3 | VACUUM FREEZE alone", {"public.alone"}),
    ("TRUNCATE alone; INSERT INTO alone SELECT n, 'x' FROM generate_series(1, 50) n", {"public.alone"}),
    ("BEGIN; TRUNCATE alone; COPY alone (id) FROM PROGRAM 'seq 50' WITH (FREEZE); COMMIT", {"public.alone"}),
    ("VACUUM FULL alone", {"public.alone"}),
    ("CLUSTER alone USING alone_pkey", {"public.alone"}),
    ("ALTER TABLE quick SET LOGGED", {"public.quick"}),
    ("INSERT INTO child VALUES (3, 'c')", {"public.child"}),
    ("UPDATE parent SET t = 'x'", {"public.parent", "public.child"}),
    ("UPDATE parts SET id = 2 WHERE id = 1", {"public.part_1", "public.part_2"}),
    ("INSERT INTO bare DEFAULT VALUES", {"public.bare"}),
    ("UPDATE \"a \"\"b\"\".c\nd\" SET \"x y\" = 'w'", {'public."a ""b"".c\nd"'}),
    ("ALTER TABLE users ADD COLUMN more text", {"public.users"}),
    ("ALTER TABLE alone ADD COLUMN more text DEFAULT 'm'", {"public.alone"}),
    ("ALTER TABLE users DROP COLUMN nick", {"public.users"}),
    ("ALTER TABLE alone DROP COLUMN t; ALTER TABLE alone ADD COLUMN t text", {"public.alone"}),
    ("ALTER TABLE alone ALTER COLUMN t TYPE varchar", {"public.alone"}),
    ("ALTER TABLE users ALTER COLUMN email SET DEFAULT 'x'", set()),
    ("ALTER TABLE users RENAME COLUMN email TO mail", set()),
    ("ALTER TABLE users RENAME TO people; ALTER TABLE alone RENAME TO users", set()),
    ("ALTER TYPE mood ADD VALUE 'new'", set()),
    ("ALTER TYPE mood RENAME VALUE 'good' TO 'fine'", EVERYTHING - {"public.bare"}),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", set()),
    ("ALTER TABLE alone RENAME TO lonely", set()),
    ("CREATE TABLE fresh AS SELECT 1 AS id", {"public.fresh"}),
    ("DROP TABLE alone", set()),
    ("ALTER TABLE parts DETACH PARTITION part_1", set()),
    ("SELECT lo_from_bytea(0, 'large')", None),
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE alone SET t = '' WHERE id = 7; RETURN NEW; END $$;"
        "CREATE TRIGGER f AFTER UPDATE ON quick FOR EACH ROW EXECUTE FUNCTION f(); UPDATE quick SET id = 2",
        {"public.quick", "public.alone"},
    ),
]  # fmt: skip
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def template(every_server: ThrowawayServer) -> str:
    """A database with all kinds of tables, to copy from."""
    with psycopg.connect(every_server.create_database("row_versions"), autocommit=True) as connection:
        connection.execute(MADE.encode())
        if every_server.major >= 18:
            connection.execute(
                "CREATE TABLE derived (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL); INSERT INTO derived VALUES (1)"
            )
    return "row_versions"


@pytest.fixture
def copy(every_server: ThrowawayServer, template: str) -> Iterator[str]:
    name = f"row_versions_{next(_numbers)}"
    yield every_server.create_database(name, template=template)
    every_server.drop_database(name)


@pytest.mark.in_turn
@pytest.mark.parametrize(("done", "read"), DONE, ids=[done[:40] for done, _ in DONE])
def test_it_is_what_a_reading_of_everything_finds(
    every_server: ThrowawayServer, copy: str, done: str, read: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []

    def reading(url: str, programs: object, tables: list[str] | None = None) -> object:
        asked.append(set(tables or EVERYTHING))
        return content_of(url, every_server.programs, tables or ())

    with psycopg.connect(copy, autocommit=True) as connection:
        then = Moment.now(connection, read_columns(connection, ()), content_of(copy, every_server.programs))
        assert then.contents.keys() >= EVERYTHING
        for statement in done.split(" | ") if done else ():
            connection.execute(statement.encode())
        monkeypatch.setattr(changed_content, "content_of", reading)
        _, now = content_since(connection, copy, every_server.programs, then)
    assert sorted(now, key=lambda each: each.name) == list(content_of(copy, every_server.programs))
    if read is not None:
        assert set().union(*asked) - ALWAYS == read - ALWAYS
