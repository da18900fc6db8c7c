"""Who uses what is renamed or dropped stands in the finding by name; that it breaks, or is refused, is seen on a server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.review import review
from safemig.review.facts import TargetFacts
from safemig.sql import SourceFile

TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, total int, note text, state text);
CREATE TABLE audit (id int, order_id int);
CREATE VIEW paid AS SELECT id, total FROM orders;
CREATE FUNCTION taxed(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION sum_of() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT sum(total) FROM orders); END $$;
CREATE FUNCTION of_note() RETURNS text LANGUAGE sql AS 'SELECT note FROM orders LIMIT 1';
CREATE FUNCTION other() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM audit); END $$;
CREATE FUNCTION twice() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN taxed(1) + taxed(2); END $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'x'; RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE OF state ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW with_tax AS SELECT taxed(total) AS n FROM orders;
CREATE VIEW audited AS SELECT * FROM audit;
CREATE POLICY small ON orders USING (total < 100);
CREATE POLICY of_orders ON audit USING (EXISTS (SELECT FROM orders o WHERE o.id = order_id));
"""
# (the change, the end of its finding's message)
CASES = [
    ("ALTER TABLE orders RENAME TO purchases", "; of_note(), sum_of() still name it"),
    ("ALTER TABLE orders RENAME COLUMN total TO amount", "; sum_of() still names it"),
    ("ALTER TABLE orders RENAME COLUMN note TO remark", "; of_note(), touch() still name it"),
    ("ALTER TABLE orders RENAME COLUMN id TO number", "fails from then on"),
    ("ALTER FUNCTION taxed(int) RENAME TO with_vat", "; twice() still names it"),
    ("ALTER TABLE orders DROP COLUMN note", "; of_note(), touch() name it and fail when run"),
    ("ALTER TABLE orders DROP COLUMN total",
     "; sum_of() names it and fails when run; refused while policy small of orders, view paid, view with_tax need it"),
    ("ALTER TABLE orders DROP COLUMN state", "; refused while trigger touched needs it"),
    ("DROP TABLE orders", "; of_note(), sum_of() name it and fail when run; refused while policy of_orders of audit, view paid, view with_tax need it"),
    ("DROP TABLE audit", "; other() names it and fails when run; refused while view audited needs it"),
    ("ALTER TABLE audit DROP COLUMN order_id", "; refused while policy of_orders of audit, view audited need it"),
    ("DROP FUNCTION taxed(int)", "; twice() names it and fails when run; refused while view with_tax needs it"),
    ("DROP FUNCTION touch()", "; refused while trigger touched of orders needs it"),
    ("DROP VIEW paid", "fails from then on"),
]  # fmt: skip
RULES = {"rename-in-use", "drop-table", "drop-column", "drop-code"}


@pytest.fixture(scope="module")
def shop(server: ThrowawayServer) -> Iterator[tuple[str, TargetFacts]]:
    url = server.create_database("users_of")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        facts = read_target_facts(connection, "production")
    yield url, facts
    server.drop_database("users_of")


def message(sql: str, target: TargetFacts | None) -> str:
    files = [SourceFile("m.sql", sql)] if target else [SourceFile("0.sql", TABLES), SourceFile("m.sql", sql)]
    made = review(files, target=target, by_themselves=target is None)
    [found] = [one for one in made.findings if one.rule in RULES and one.file == "m.sql"]
    return found.message


@pytest.mark.parametrize(("sql", "end"), CASES, ids=[sql for sql, _ in CASES])
def test_the_users_are_named_of_the_files_and_of_the_target_alike(
    shop: tuple[str, TargetFacts], sql: str, end: str
) -> None:
    of_files = message(sql, None)
    assert of_files.endswith(
        end.replace("policy small of orders", "policy small").replace(
            "of_orders of audit, view audited", "of_orders, view audited"
        )
    )
    if "policy of_orders" not in end:  # of a table that a policy of another one reads, pg_depend is not asked
        assert message(sql, shop[1]).endswith(end)


@pytest.mark.parametrize(("sql", "end"), CASES, ids=[sql for sql, _ in CASES])
def test_what_is_said_happens(shop: tuple[str, TargetFacts], sql: str, end: str) -> None:
    with psycopg.connect(shop[0]) as connection:
        connection.execute(b"INSERT INTO orders VALUES (1, 2, 'a', 'b'); ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
        if "refused while" in end:
            with pytest.raises(psycopg.errors.DependentObjectsStillExist), connection.transaction():
                connection.execute(sql.encode())
            sql += " CASCADE"
        connection.execute(sql.encode())
        for function in ("of_note", "sum_of", "other", "twice"):
            if f"{function}()" in end:
                with pytest.raises(psycopg.errors.ProgrammingError), connection.transaction():
                    connection.execute(f"SELECT {function}()".encode())
        connection.rollback()


@pytest.mark.parametrize(
    ("body", "drop", "named"),
    [
        ("SELECT 1 FROM Orders", "DROP TABLE orders", True),
        ('SELECT 1 FROM "Order lines"', 'DROP TABLE "Order lines"', True),
        ("SELECT 1 FROM orders_old", "DROP TABLE orders", False),
        ("SELECT 'orders'", "DROP TABLE orders", False),
    ],
)
def test_a_body_names_what_it_reads_however_it_is_written(body: str, drop: str, named: bool) -> None:
    quoted = body.replace("'", "''")
    function = f"CREATE FUNCTION reader() RETURNS int LANGUAGE sql AS '{quoted}';"
    made = review([SourceFile("0.sql", function), SourceFile("1.sql", drop)], by_themselves=True)
    [found] = [one for one in made.findings if one.rule == "drop-table"]
    assert ("reader() names it" in found.message) is named
