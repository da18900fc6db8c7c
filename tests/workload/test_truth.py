"""Sixty changes, judged by running the old application on the changed database: what fails there is what was foretold."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.workload.counted import read_counted
from safemig.workload.merge import merged
from safemig.workload.statement import SeenWorkload
from tests.workload.test_prepared import checked

SCHEMA = """
CREATE TYPE state AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0);
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(80) NOT NULL UNIQUE, name text,
    fax text, joined date NOT NULL DEFAULT current_date, parent bigint REFERENCES customers);
CREATE TABLE products (id bigint PRIMARY KEY, sku text NOT NULL, title text NOT NULL, price cents NOT NULL DEFAULT 0, tags text[],
    extra jsonb NOT NULL DEFAULT '{}');
CREATE UNIQUE INDEX products_sku ON products (sku);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers,
    state state NOT NULL DEFAULT 'new', placed timestamptz NOT NULL DEFAULT now(), note varchar(200));
CREATE INDEX orders_placed ON orders (placed);
CREATE TABLE items (order_id bigint REFERENCES orders ON DELETE CASCADE, product_id bigint REFERENCES products, amount int NOT NULL,
    PRIMARY KEY (order_id, product_id));
CREATE TABLE audit (at timestamptz NOT NULL DEFAULT now(), who text NOT NULL DEFAULT current_user, what text);
CREATE VIEW paid AS SELECT o.id, o.customer_id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.state = 'paid';
CREATE FUNCTION total(bigint) RETURNS numeric LANGUAGE sql STABLE AS
    'SELECT coalesce(sum(i.amount * p.price), 0) FROM items i JOIN products p ON p.id = i.product_id WHERE i.order_id = $1';
CREATE SCHEMA crm; CREATE TABLE crm.leads (id int PRIMARY KEY, source text);
INSERT INTO customers (email, name, fax) SELECT n || '@example.com', CASE WHEN n % 7 > 0 THEN 'c' || n END, '0' FROM generate_series(1, 50) n;
INSERT INTO products (id, sku, title, price) SELECT n, 'sku' || n, 'p' || n, n FROM generate_series(1, 20) n;
INSERT INTO orders (customer_id, state) SELECT 1 + n % 50, 'paid' FROM generate_series(1, 100) n;
INSERT INTO items SELECT n, 1 + n % 20, 1 + n % 3 FROM generate_series(1, 100) n;
INSERT INTO crm.leads VALUES (1, 'fair');
GRANT USAGE ON SCHEMA crm TO app_rw, reporting;
GRANT ALL ON ALL TABLES IN SCHEMA public, crm TO app_rw; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting;
"""
# The application: what it sends, as whom, with values as it would have them.
APPLICATION: list[tuple[str, str, list[object]]] = [
    ("app_rw", "SELECT id, email, name FROM customers WHERE email = %s", ["3@example.com"]),
    ("app_rw", "SELECT c.fax FROM customers c WHERE c.id = %s", [3]),
    ("app_rw", "INSERT INTO customers (email, name) VALUES (%s, %s) RETURNING id", ["new@example.com", None]),
    ("app_rw", "INSERT INTO customers (email, name) VALUES (%s, %s) ON CONFLICT (email) DO UPDATE SET name = excluded.name", ["3@example.com", "x"]),
    ("app_rw", "UPDATE customers SET name = %s, fax = %s WHERE id = %s", ["n", "1", 4]),
    ("app_rw", "SELECT count(*) FROM customers WHERE joined > %s::date - 30", ["2026-01-01"]),
    ("app_rw", "WITH RECURSIVE up AS (SELECT id, parent FROM customers WHERE id = %s UNION ALL SELECT c.id, c.parent FROM customers c JOIN up ON c.id = up.parent) SELECT id FROM up", [3]),
    ("app_rw", "SELECT id, title, price FROM products WHERE sku = %s", ["sku3"]),
    ("app_rw", "INSERT INTO products (id, sku, title, price) VALUES (%s, %s, %s, %s)", [900, "sku900", "p", 3]),
    ("app_rw", "INSERT INTO products (id, sku, title) VALUES (%s, %s, %s) ON CONFLICT (sku) DO NOTHING", [901, "sku3", "p"]),
    ("app_rw", "SELECT id FROM products WHERE %s = ANY (tags)", ["red"]),
    ("app_rw", "SELECT extra ->> 'colour' FROM products WHERE id = %s", [3]),
    ("app_rw", "UPDATE products SET price = price + %s WHERE id = %s", [1, 3]),
    ("app_rw", "INSERT INTO orders (customer_id, note) VALUES (%s, %s) RETURNING id, placed", [3, "hello"]),
    ("app_rw", "SELECT o.id, o.state, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = %s", [3]),
    ("app_rw", "UPDATE orders SET state = 'sent' WHERE id = %s AND state = 'paid'", [3]),
    ("app_rw", "SELECT date_trunc('day', placed), count(*) FROM orders GROUP BY 1 ORDER BY 1 LIMIT %s", [5]),
    ("app_rw", "DELETE FROM orders WHERE id = %s", [99]),
    ("app_rw", "INSERT INTO items VALUES (%s, %s, %s)", [1, 20, 1]),
    ("app_rw", "SELECT i.amount, p.title FROM items i JOIN products p ON p.id = i.product_id WHERE i.order_id = %s", [3]),
    ("app_rw", "DELETE FROM items WHERE order_id = %s AND product_id = %s", [3, 4]),
    ("app_rw", "INSERT INTO audit (what) VALUES (%s)", ["login"]),
    ("app_rw", "SELECT total(%s)", [3]),
    ("app_rw", "SELECT source FROM crm.leads WHERE id = %s", [1]),
    ("app_rw", "SELECT placed FROM orders WHERE placed > now() - interval '1 day' AND id > %s", [0]),
    ("reporting", "SELECT email FROM paid WHERE customer_id = %s", [3]),
    ("reporting", "SELECT state, count(*) FROM orders GROUP BY state HAVING count(*) > %s", [0]),
    ("reporting", "SELECT avg(price) FROM products WHERE price > %s", [0]),
]  # fmt: skip
# Each change, and how many statements of the application it breaks (found by running it).
CHANGES: list[str] = [
    # columns dropped
    "ALTER TABLE customers DROP COLUMN fax",
    "ALTER TABLE customers DROP COLUMN joined",
    "ALTER TABLE customers DROP COLUMN name",
    "ALTER TABLE customers DROP COLUMN parent",
    "ALTER TABLE products DROP COLUMN tags",
    "ALTER TABLE products DROP COLUMN extra",
    "ALTER TABLE orders DROP COLUMN note",
    "ALTER TABLE audit DROP COLUMN who",
    "ALTER TABLE items DROP COLUMN amount",
    # renamed
    "ALTER TABLE customers RENAME COLUMN fax TO fax_number",
    "ALTER TABLE products RENAME COLUMN title TO name",
    "ALTER TABLE audit RENAME TO audit_log",
    "ALTER TABLE audit RENAME TO audit_log; CREATE VIEW audit AS SELECT * FROM audit_log; GRANT ALL ON audit TO app_rw",
    "ALTER TABLE audit RENAME TO audit_log; CREATE VIEW audit AS SELECT * FROM audit_log",
    "ALTER TABLE crm.leads RENAME COLUMN source TO origin",
    "ALTER SCHEMA crm RENAME TO sales",
    "ALTER FUNCTION total(bigint) RENAME TO order_total",
    "ALTER TYPE state RENAME TO order_state",
    "ALTER TYPE state RENAME VALUE 'sent' TO 'shipped'",
    "ALTER VIEW paid RENAME TO paid_orders",
    # retyped
    "ALTER TABLE items ALTER amount TYPE bigint",
    "ALTER TABLE customers ALTER fax TYPE bigint USING fax::bigint",
    "ALTER TABLE products ALTER tags TYPE jsonb USING to_jsonb(tags)",
    "ALTER TABLE products ALTER extra DROP DEFAULT, ALTER extra TYPE text",
    "ALTER TABLE orders ALTER note TYPE text",
    "ALTER TABLE customers ALTER joined TYPE timestamptz",
    "ALTER TABLE audit ALTER at TYPE timestamp",
    # NOT NULL and defaults
    "ALTER TABLE customers ALTER fax SET NOT NULL",
    "UPDATE customers SET name = '' WHERE name IS NULL; ALTER TABLE customers ALTER name SET NOT NULL",
    "ALTER TABLE orders ADD COLUMN channel text NOT NULL DEFAULT 'web'",
    "ALTER TABLE orders ADD COLUMN channel text NOT NULL DEFAULT 'web'; ALTER TABLE orders ALTER channel DROP DEFAULT",
    "ALTER TABLE orders ADD COLUMN channel text",
    "ALTER TABLE products ALTER price DROP DEFAULT",
    "ALTER TABLE products ALTER extra DROP DEFAULT",
    "ALTER TABLE customers ALTER joined DROP DEFAULT",
    "ALTER TABLE audit ALTER who DROP DEFAULT",
    "ALTER TABLE customers ALTER id DROP IDENTITY",
    "ALTER TABLE audit ALTER what SET NOT NULL",
    # CHECK and keys that the application's values meet
    "ALTER TABLE products ADD CONSTRAINT priced CHECK (price >= 0)",
    "ALTER TABLE items ADD CONSTRAINT any_amount CHECK (amount > 0)",
    "ALTER TABLE orders ADD CONSTRAINT short CHECK (length(note) < 100)",
    "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey",
    # moved and split
    "ALTER TABLE audit SET SCHEMA crm",
    "ALTER TABLE crm.leads SET SCHEMA public",
    "CREATE TABLE contacts AS SELECT id, fax FROM customers; ALTER TABLE customers DROP COLUMN fax",
    "DROP TABLE items CASCADE",
    "DROP VIEW paid; CREATE VIEW paid AS SELECT o.id, o.customer_id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id",
    # rights
    "REVOKE SELECT ON orders FROM reporting",
    "REVOKE INSERT ON audit FROM app_rw",
    "REVOKE UPDATE ON products FROM app_rw; GRANT UPDATE (title) ON products TO app_rw",
    "REVOKE EXECUTE ON FUNCTION total(bigint) FROM PUBLIC",
    "REVOKE USAGE ON SCHEMA crm FROM app_rw",
    "REVOKE DELETE ON items FROM app_rw",
    # indexes
    "DROP INDEX products_sku",
    "DROP INDEX orders_placed",
    "ALTER TABLE customers DROP CONSTRAINT customers_email_key",
    "DROP INDEX products_sku; CREATE UNIQUE INDEX products_sku ON products (lower(sku))",
    # functions
    "DROP FUNCTION total(bigint)",
    "DROP FUNCTION total(bigint); CREATE FUNCTION total(bigint, text) RETURNS numeric LANGUAGE sql AS 'SELECT 1.0'",
    "DROP FUNCTION total(bigint); CREATE FUNCTION total(bigint, text DEFAULT 'EUR') RETURNS numeric LANGUAGE sql AS 'SELECT 1.0'",
    "CREATE OR REPLACE FUNCTION total(bigint) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT 2.0'",
]  # fmt: skip

# What no text tells: that the application writes NULL, and a label of an enum. What was not checked names the statements.
ONLY_VALUES_TELL = (
    "ALTER TYPE state RENAME VALUE 'sent' TO 'shipped'",
    "UPDATE customers SET name = '' WHERE name IS NULL; ALTER TABLE customers ALTER name SET NOT NULL",
)


@pytest.fixture(scope="module")
def application(counting_server: ThrowawayServer) -> Iterator[tuple[SeenWorkload, str]]:
    """The application's statements as the server counted them when it ran, and the database that changes are tried on copies of."""
    url = counting_server.create_database("application")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        connection.execute("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
        assert run(url) == {}
        seen = merged(SeenWorkload("production"), read_counted(connection, "production"))
        connection.execute("DROP EXTENSION pg_stat_statements")
    mine = tuple(each for each in seen.statements if each.role in ("app_rw", "reporting"))
    assert len(mine) == len(APPLICATION)
    yield SeenWorkload("production", mine, seen.windows), "application"
    counting_server.drop_database("application")


def run(url: str) -> dict[int, str]:
    """Run the application, each statement in a transaction that is rolled back; return the SQLSTATE of those that fail."""
    failed = {}
    with psycopg.connect(url) as connection:
        for number, (role, statement, values) in enumerate(APPLICATION):
            try:
                connection.execute(f"SET ROLE {role}".encode())
                connection.execute(statement.encode(), values)
            except psycopg.Error as error:
                failed[number] = error.sqlstate or "?"
            connection.rollback()
    return failed


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(CHANGES[::5], id="some"),
        pytest.param(CHANGES, id="all", marks=pytest.mark.thorough),
    ],
)
def test_what_fails_in_the_old_application_is_what_was_foretold(
    application: tuple[SeenWorkload, str], counting_server: ThrowawayServer, changes: list[str]
) -> None:
    seen, template = application
    by_number = numbered(seen)
    wrong, true = [], 0
    for number, change in enumerate(changes):
        name = f"changed_{number}"
        url = counting_server.create_database(name, template=template)
        found = checked(url, seen, *(each.strip() for each in change.split("; ")))
        assert found.checked == len(seen.statements), found.skipped
        expected = run(url)
        true += len(expected)
        said = {by_number[each.id]: each.sqlstate for each in found.findings if each.is_dangerous}
        if change in ONLY_VALUES_TELL:
            assert (said, len(expected)) == ({}, 1)
            assert found.not_checked, change
        elif said != expected:
            wrong.append((change, expected, said))
        assert all(each.cause for each in found.findings), change
        counting_server.drop_database(name)
    assert wrong == [], f"of {true} true breaks: {wrong}"
    assert true > len(changes) / 2


def numbered(seen: SeenWorkload) -> dict[str, int]:
    """Return which statement of the application each id is, by the order in which they were sent first."""
    from safemig.workload.texts import Kept, kept

    found = {}
    for number, (role, statement, _) in enumerate(APPLICATION):
        text = statement
        for place in range(1, statement.count("%s") + 1):
            text = text.replace("%s", f"${place}", 1)
        normal = kept(text)
        assert isinstance(normal, Kept)
        (one,) = (each for each in seen.statements if each.role == role and same(each.text, normal.text))
        found[one.id] = number
    return found


def same(one: str, other: str) -> bool:
    """Tell whether two texts are one statement, however their parameters are numbered."""
    import re

    return re.sub(r"\$\d+|\s", "", one) == re.sub(r"\$\d+|\s", "", other)
