"""The demo's shop is a believable application, the same each time, and right in itself."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from safemig.demo.proof import Content, lost_rows, read_content, schema_differences
from safemig.demo.shop import PRODUCTION_SIZES, Shop, Sizes
from safemig.errors import RefusedError
from safemig.postgres.history import read_history

OWN_SCHEMAS = "('public', 'catalog', 'sales', 'audit')"


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


CLASSES = f"SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text IN {OWN_SCHEMAS} AND "
TYPES = f"SELECT count(*) FROM pg_type WHERE typnamespace::regnamespace::text IN {OWN_SCHEMAS} AND "
GRANTED = "SELECT count(DISTINCT table_name) FROM information_schema.role_table_grants WHERE grantee = 'shop_app'"


@pytest.mark.parametrize(
    ("what", "at_least", "query"),
    [
        ("schemas", 4, f"SELECT count(*) FROM pg_namespace WHERE nspname IN {OWN_SCHEMAS}"),
        ("tables that are no partitions", 12, CLASSES + "relkind IN ('r', 'p') AND NOT relispartition"),
        ("partitions", 7, CLASSES + "relkind = 'r' AND relispartition"),
        ("views", 2, CLASSES + "relkind = 'v'"),
        ("materialized views", 1, CLASSES + "relkind = 'm'"),
        ("enums", 2, TYPES + "typtype = 'e'"),
        ("domains", 1, TYPES + "typtype = 'd'"),
        ("functions", 4, f"SELECT count(*) FROM pg_proc WHERE pronamespace::regnamespace::text IN {OWN_SCHEMAS}"),
        ("triggers", 3, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"),
        ("policies", 6, "SELECT count(*) FROM pg_policy"),
        ("foreign keys", 12, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
        ("identity columns", 5, "SELECT count(*) FROM pg_attribute WHERE attidentity <> ''"),
        ("generated columns", 2, "SELECT count(*) FROM pg_attribute WHERE attgenerated <> ''"),
        ("tables that the application's role may read", 5, GRANTED),
    ],
)
def test_the_shop_has_what_applications_have(small_shop: Shop, what: str, at_least: int, query: str) -> None:
    (count,) = ask(small_shop.production, query)[0]
    assert isinstance(count, int), what
    assert count >= at_least, what


def test_every_foreign_key_and_check_holds(small_shop: Shop) -> None:
    # The rows were loaded with foreign keys asleep; re-created, each of them looks at every row.
    with psycopg.connect(small_shop.production) as connection:
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype IN ('f', 'c') AND conrelid <> 0 AND conparentid = 0"
        ).fetchall()
        assert len(constraints) > 15
        for table, name, definition in constraints:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")  # type: ignore[arg-type]
            connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")  # type: ignore[arg-type]
        connection.rollback()


def test_no_sequence_is_behind_its_column(small_shop: Shop) -> None:
    with psycopg.connect(small_shop.production) as connection:
        owned = connection.execute(
            "SELECT attrelid::regclass::text, attname, pg_get_serial_sequence(attrelid::regclass::text, attname) "
            "FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
            "WHERE relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0 "
            f"AND relnamespace::regnamespace::text IN {OWN_SCHEMAS} "
            "AND pg_get_serial_sequence(attrelid::regclass::text, attname) IS NOT NULL"
        ).fetchall()
        assert len(owned) >= 8
        for table, column, sequence in owned:
            (behind,) = connection.execute(
                f"SELECT coalesce(max({column}), 0) > (SELECT last_value FROM {sequence}) FROM {table}"  # type: ignore[arg-type]
            ).fetchall()[0]
            assert not behind, f"{sequence} is behind {table}.{column}"


def test_both_databases_have_both_migrations_recorded_and_one_schema(small_shop: Shop) -> None:
    names = sorted(path.name for path in (small_shop.folder / "supabase/migrations").glob("*.sql"))
    assert len(names) == 2
    for url in (small_shop.staging, small_shop.production):
        with psycopg.connect(url) as connection:
            history = read_history(connection)
        assert [f"{each.version}_{each.name}.sql" for each in history] == names
        assert all(len(each.statements) > 5 for each in history)


def test_the_same_sizes_give_the_same_rows(small_shop: Shop, small: Sizes, tmp_path: Path) -> None:
    (users,) = ask(small_shop.production, "SELECT count(*) FROM users")[0]
    assert users == small.users
    with Shop.start(tmp_path / "again", production=small) as again:
        assert read_content(again.production) == read_content(small_shop.production)


def test_production_has_more_than_200_000_rows_when_nothing_else_is_said() -> None:
    # 1 address a user, 1 category and stock entry a product, 2 lines an order: below that, the rest is bonus.
    at_least = 2 * PRODUCTION_SIZES.users + 3 * PRODUCTION_SIZES.products + 4 * PRODUCTION_SIZES.orders
    assert at_least > 200_000


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RefusedError, match="new or an empty folder"):
        Shop.start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# The demo's own look at the result would see what went wrong ----------------------------------------------------------


@pytest.fixture(scope="session")
def before(small_shop: Shop) -> dict[str, Content]:
    return read_content(small_shop.production)


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ("DELETE FROM sales.payments WHERE order_id = 1", "sales.payments: 384 rows before, 383 now"),
        ("UPDATE users SET fax_number = NULL WHERE id = 40", "public.users: its 200 rows hold something else"),
        ("UPDATE catalog.stock SET on_hand = on_hand + 1 WHERE product_id = 7", "catalog.stock: its 60 rows hold something else"),
        ("TRUNCATE audit.events_2025_02", "audit.events_2025_02:"),
        ("DROP TABLE catalog.reviews CASCADE", "table catalog.reviews is gone"),
        ("INSERT INTO catalog.brands (name) VALUES ('new')", "catalog.brands: 6 rows before, 7 now"),
    ],
)  # fmt: skip
def test_a_lost_or_changed_row_is_seen(small_shop: Shop, before: dict[str, Content], damage: str, seen: str) -> None:
    copy = small_shop.server.create_database("damaged", template="shop_production")
    try:
        assert lost_rows(before, copy) == []
        with psycopg.connect(copy) as connection:
            connection.execute(damage)  # type: ignore[arg-type]
        problems = lost_rows(before, copy)
        assert len(problems) == 1
        assert problems[0].startswith(seen)
    finally:
        small_shop.server.drop_database("damaged")


def test_a_new_column_is_no_lost_row(small_shop: Shop, before: dict[str, Content]) -> None:
    copy = small_shop.server.create_database("widened", template="shop_production")
    try:
        with psycopg.connect(copy) as connection:
            connection.execute("ALTER TABLE sales.orders ADD COLUMN is_gift boolean NOT NULL DEFAULT false")
            connection.execute("CREATE TABLE public.more (id int)")
        assert lost_rows(before, copy) == []
    finally:
        small_shop.server.drop_database("widened")


def test_a_schema_that_is_not_staging_s_is_seen(shop: Shop) -> None:
    major = shop.server.major
    assert (
        len(schema_differences(shop.staging, shop.production, major, shop.kept_lines)) == 2
    )  # the column is there on both sides
    shop.change_staging_by_hand()
    differences = schema_differences(shop.staging, shop.production, major, shop.kept_lines)
    assert "+CREATE INDEX orders_placed_at_idx ON sales.orders USING btree (placed_at);" in differences
    assert "+    is_gift boolean DEFAULT false NOT NULL" in differences
    assert "+    'returned'," in differences
    # By hand, what the migration should come to: everything but the dropped column.
    text = (Path(__file__).parents[2] / "safemig/demo/sql/staging_by_hand.sql").read_text()
    kept, dropped = text.split("-- Nobody has a fax any more.")
    assert "DROP COLUMN fax_number" in dropped
    with psycopg.connect(shop.production, autocommit=True) as connection:
        connection.execute(kept)  # type: ignore[arg-type]
    assert schema_differences(shop.staging, shop.production, major, shop.kept_lines) == []
    with psycopg.connect(shop.production, autocommit=True) as connection:
        connection.execute(dropped)  # type: ignore[arg-type]
    assert (
        len(schema_differences(shop.staging, shop.production, major, shop.kept_lines)) == 2
    )  # now it is gone from production
