"""Files tried on a copy with rows: what fails between two of them, what fails for good, and what is only a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from safemig.copies.tried_files import File, try_files
from safemig.postgres.catalog import read_schema
from safemig.postgres.connection.connect import connect
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import Behaviour
from safemig.schema import Statement, compare

BASE = """
CREATE TYPE mood AS ENUM ('fine', 'tired');
CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text UNIQUE NOT NULL CHECK (mail LIKE '%@example.com'),
    mood mood NOT NULL, age int CHECK (age > 17), kind text CHECK (kind IN ('a', 'b')));
CREATE TABLE notes (id serial PRIMARY KEY, of bigint NOT NULL REFERENCES people, tenant int NOT NULL DEFAULT 1, text varchar(9));
CREATE TABLE days (day date NOT NULL, n numeric) PARTITION BY RANGE (day);
CREATE TABLE days_2031 PARTITION OF days FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes TO behaviour_reader USING (tenant = 1);
CREATE VIEW seen AS SELECT n.id, p.mail FROM notes n JOIN people p ON p.id = n.of;
CREATE FUNCTION mails(m mood, at timestamptz) RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT mail FROM people WHERE mood = m';
GRANT SELECT, INSERT ON notes TO behaviour_reader;
GRANT USAGE ON SEQUENCE notes_id_seq TO behaviour_reader;
"""


@pytest.fixture
def copy(server: ThrowawayServer, new_database: Callable[[], str]) -> Iterator[str]:
    """A database with the schema and no rows."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS behaviour_reader; CREATE ROLE behaviour_reader")
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BASE.encode())
    yield url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY behaviour_reader; DROP ROLE behaviour_reader")


def tried(url: str, *files: str, rows: str = "", atomic: bool = True) -> Behaviour:
    """Try files, each one statement a line, that touch all there is."""
    with connect(url, "the copy", own_search_path=True) as connection:
        base = read_schema(connection)
        if rows:
            connection.execute(rows.encode())
        names = tuple(item.dotted for item in sorted(base.facts) if item.kind in ("table", "view", "routine"))
        made = [
            File(f"{number}.sql", atomic, tuple(
                Statement(line, None, names, False, "", None, True, None, False) for line in text.splitlines()))
            for number, text in enumerate(files, 1)
        ]  # fmt: skip
        return try_files(connection, None, made, base, base)


def outcomes(found: Behaviour) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(each.what, each.role): each.outcomes for each in found.tried}


def test_rows_are_made_up_that_keys_checks_and_bounds_allow(copy: str) -> None:
    found = tried(copy, "COMMENT ON TABLE people IS 'all of them'")
    works = outcomes(found)
    for what in (
        "insert into public.people",
        "insert into public.notes",
        "insert into public.days",
        "update public.notes",
    ):
        assert works[what, ""] == ("works", "works")
    assert works["insert into public.notes", "behaviour_reader"] == ("works", "works")
    assert works["read view public.seen", ""] == ("works, 1 row", "works, 1 row")
    assert ("call public.mails(public.mood, timestamp with time zone)", "") in works
    assert found.not_tried == ()
    assert found.gaps == found.broken == found.unfit == found.rewritten == ()


@pytest.mark.parametrize(
    ("files", "gap"),
    [
        (("DROP VIEW seen", "CREATE VIEW seen AS SELECT n.id, p.mail FROM notes n JOIN people p ON p.id = n.of"), "read view public.seen fails"),
        (("DROP POLICY own ON notes", "CREATE POLICY own ON notes TO behaviour_reader USING (tenant = 1)"),
         "read table public.notes as behaviour_reader fails: no row is seen"),
        (("REVOKE INSERT ON notes FROM behaviour_reader", "GRANT INSERT ON notes TO behaviour_reader"),
         "insert into public.notes as behaviour_reader fails: permission denied"),
        (("ALTER TABLE notes ALTER id DROP DEFAULT", "ALTER TABLE notes ALTER id SET DEFAULT nextval('notes_id_seq')"),
         "insert into public.notes fails: null value"),
        (("DROP FUNCTION mails", "CREATE FUNCTION mails(m mood, at timestamptz) RETURNS SETOF text LANGUAGE sql AS 'SELECT mail FROM people'"),
         "call public.mails"),
    ],
    ids=["view", "policy", "privilege", "default", "function"],
)  # fmt: skip
def test_what_fails_after_one_file_and_works_after_the_next_is_a_gap(
    copy: str, files: tuple[str, str], gap: str
) -> None:
    found = tried(copy, *files)
    assert any(each.words.startswith(f"between file 1 and file 2: {gap}") for each in found.gaps), found.gaps
    assert found.broken == ()


def test_each_statement_of_a_file_without_a_transaction_is_tried(copy: str) -> None:
    file = "DROP VIEW seen\nCOMMENT ON TABLE notes IS 'x'\nCREATE VIEW seen AS SELECT n.id, p.mail FROM notes n JOIN people p ON p.id = n.of"
    found = tried(copy, "COMMENT ON TABLE people IS 'x'", file, atomic=False)
    assert [each.words for each in found.gaps] == [
        "between statement 1 and statement 3 of file 2: read view public.seen fails:"
        ' relation "public.seen" does not exist (42P01)'
    ]
    assert found.broken == ()
    assert tried(copy, file).gaps == ()  # in one transaction no one sees it


def test_what_fails_for_good_is_said_with_the_file_from_which_it_does(copy: str) -> None:
    found = tried(
        copy,
        "COMMENT ON TABLE notes IS 'x'",
        "ALTER TABLE notes ADD COLUMN must text; ALTER TABLE notes RENAME COLUMN text TO body",
    )
    assert found.gaps == ()
    assert any(
        each.words.startswith("from file 2 on: insert into public.notes fails as written before: column")
        for each in found.broken
    )


def test_a_value_that_a_new_constraint_refuses_is_no_failure(copy: str) -> None:
    found = tried(
        copy, "ALTER TABLE days ADD UNIQUE (day, n)", "ALTER TABLE people ADD CHECK (length(mail) > 12) NOT VALID"
    )
    assert found.gaps == found.broken == ()


def test_a_row_that_is_in_the_way_is_noted_and_the_rest_is_tried_without_rows(copy: str) -> None:
    rows = "INSERT INTO people (mail, mood) VALUES ('a@example.com', 'fine'), ('b@example.com', 'fine')"
    found = tried(copy, "ALTER TABLE people ALTER age SET NOT NULL", "CREATE INDEX ON people (age)", rows=rows)
    assert [each.rsplit(", in ")[-1] for each in found.unfit] == ["1.sql"]
    assert "a@example.com" not in repr(found)
    assert outcomes(found)["read view public.seen", ""][2].startswith("works")


def test_a_file_without_a_transaction_goes_on_where_a_row_was_in_the_way(copy: str) -> None:
    """What ran before is committed: run again, it would fail."""
    add = "ALTER TABLE people ADD CONSTRAINT aged CHECK (age IS NOT NULL) NOT VALID"
    rows = "INSERT INTO people (mail, mood) VALUES ('a@example.com', 'fine')"
    found = tried(copy, f"{add}\nALTER TABLE people VALIDATE CONSTRAINT aged", rows=rows, atomic=False)
    assert found.unfit == (
        "a made-up row: CheckViolation (23514) at ALTER TABLE people VALIDATE CONSTRAINT aged, in 1.sql",
    )
    assert found.is_whole


def test_rows_that_are_made_up_fit_a_foreign_key_that_is_still_to_come(
    copy: str, new_database: Callable[[], str]
) -> None:
    base = "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE lines (id int, order_id int);"
    key = "ALTER TABLE lines ADD FOREIGN KEY (order_id) REFERENCES orders"
    url, staging = new_database(), new_database()
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(staging, autocommit=True) as other:
        one.execute(base.encode())
        other.execute(f"{base} {key}".encode())
    with (
        connect(url, "the copy", own_search_path=True) as one,
        connect(staging, "staging", own_search_path=True) as other,
    ):
        before, after = read_schema(one), read_schema(other)
        statements = compare(before, after).statements
        found = try_files(one, other, [File("1.sql", True, statements)], before, after)
    assert found.unfit == found.gaps == found.broken == ()
    assert found.rows == 2


def test_locks_and_rewritten_tables_are_those_that_were_seen(copy: str) -> None:
    found = tried(
        copy,
        "ALTER TABLE people ALTER age TYPE bigint",
        "ALTER TABLE notes ADD FOREIGN KEY (tenant) REFERENCES people NOT VALID",
    )
    assert found.rewritten == ("public.people",)
    assert dict(found.locks[0]) == {"public.people": "ACCESS EXCLUSIVE"}
    assert dict(found.locks[1]) == {"public.people": "SHARE ROW EXCLUSIVE", "public.notes": "SHARE ROW EXCLUSIVE"}


def test_a_publication_that_keeps_rows_from_being_updated_is_found(copy: str) -> None:
    with connect(copy, "the copy", own_search_path=True) as connection:
        base = read_schema(connection)
        with connection.transaction(force_rollback=True):
            connection.execute("CREATE PUBLICATION behaviour_out FOR TABLE people WHERE (age > 20)")
            target = read_schema(connection)
        made = compare(base, target).statements
        found = try_files(connection, None, [File("1.sql", True, made)], base, target)
    assert [each.words.split(" fails")[0] for each in found.broken] == ["from file 1 on: update public.people"]


def test_a_foreign_table_is_named_and_left_alone(copy: str) -> None:
    with connect(copy, "the copy", own_search_path=True) as connection:
        connection.execute(
            "CREATE FOREIGN DATA WRAPPER behaviour_w; CREATE SERVER s FOREIGN DATA WRAPPER behaviour_w; CREATE FOREIGN TABLE far (id int) SERVER s"
        )
    found = tried(copy, "ALTER FOREIGN TABLE far ADD COLUMN n int; ALTER TABLE people ADD COLUMN n int")
    assert found.not_tried == ("foreign table public.far",)
    assert outcomes(found)["insert into public.people", ""] == ("works", "works")
    assert found.broken == ()
