"""generate: staging against the local migrations becomes files that are proven and safe to read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from safemig.errors import MigrationError, SafemigError, ToolError, UnreachableError
from safemig.migrations.change_set_text import enable
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review import Verdict
from safemig.sql import parse
from tests.conftest import MAJORS
from tests.operations.conftest import FIRST, Shop

BY_HAND = """
CREATE TABLE user_preferences (user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE, theme text NOT NULL DEFAULT 'light');
ALTER TABLE user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON user_preferences USING (true);
CREATE INDEX user_preferences_theme ON user_preferences (theme);
ALTER TABLE users ADD COLUMN active boolean NOT NULL DEFAULT true, DROP COLUMN legacy;
CREATE INDEX users_active ON users (active);
CREATE OR REPLACE VIEW big_orders AS SELECT * FROM orders WHERE total > 500;
"""


def test_staging_becomes_a_file_with_header_checklist_and_guards(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND)
    made = shop.project.generate("add user preferences table")
    assert made.path is not None
    assert re.fullmatch(r"\d{14}_add_user_preferences_table\.sql", made.path.name)
    text = made.path.read_text()
    assert text == made.text
    for line in (
        "-- Source:    staging",
        "-- Generated: 20",
        "-- Base:      1 migration, checksum",
        "-- Proof:     proven equal",
        "-- Safety checklist",
    ):
        assert line in text
    assert "CREATE TABLE IF NOT EXISTS public.user_preferences" in text
    assert "ADD COLUMN IF NOT EXISTS active" in text
    assert "CREATE OR REPLACE VIEW public.big_orders" in text


def test_what_destroys_is_disabled_with_its_reason_and_how_to_enable_it(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND)
    made = shop.project.generate("drop legacy")
    assert [sql for sql, _ in made.commented] == ["ALTER TABLE public.users DROP COLUMN IF EXISTS legacy"]
    lines = made.text.splitlines()
    at = lines.index("ALTER TABLE public.users DROP COLUMN IF EXISTS legacy;")
    assert re.fullmatch(r"-- Change \d of \d, DISABLED: column public.users.legacy: dropped", lines[at - 4])
    assert lines[at - 3 : at - 1] == [
        "-- Why: the values of public.users.legacy are lost",
        "-- Locks: ACCESS EXCLUSIVE on public.users",
    ]
    assert lines[at - 1].startswith("/* safemig: change ")
    assert lines[at + 1].endswith(" */")
    assert not any("DROP COLUMN" in statement.sql for statement in parse(made.text))


def test_a_disabled_change_is_enabled_by_its_number_in_every_file(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND + "ALTER TABLE orders ADD COLUMN currency text NOT NULL;")
    made = shop.project.generate("currency")
    paths = [made.path, *made.further_paths]
    (number,) = {int(at) for at in re.findall(r"change (\d+) is disabled", made.further_paths[0].read_text())}
    before = {path: path.read_text() for path in paths if path is not None}
    enabled = shop.project.enable_change(number)
    assert set(enabled.paths) == {path for path, text in before.items() if f"change {number} is disabled" in text}
    for path, text in before.items():
        after = path.read_text()
        assert f"change {number} is disabled" not in after
        kept = [line for line in text.splitlines() if f"change {number} is disabled" not in line]
        assert [line.replace(", enabled:", ", DISABLED:") for line in after.splitlines()] == kept
    with pytest.raises(MigrationError, match=f"no migration file holds a disabled change {number}") as raised:
        shop.project.enable_change(number)
    assert str(raised.value.where).startswith("disabled there: ")


@pytest.mark.parametrize("by_hand", [False, True], ids=["by its number", "by hand"])
def test_a_change_is_not_enabled_in_a_file_that_is_applied(shop: Shop, by_hand: bool) -> None:
    shop.on(shop.staging, "ALTER TABLE users DROP COLUMN legacy")
    made = shop.project.generate("drop legacy")
    shop.deploy()
    assert made.path is not None
    before = made.path.read_text()
    if by_hand:
        made.path.write_text(enable(before, 1))
        with pytest.raises(MigrationError, match="applied to production, but edited since") as raised:
            shop.deploy()
        assert "new migration" in str(raised.value.next)
        return
    with pytest.raises(MigrationError, match="change 1 is in a file that is applied to production already") as raised:
        shop.project.enable_change(1)
    assert "into a new file" in str(raised.value.next)
    assert made.path.read_text() == before
    again = shop.project.generate("drop legacy")  # the new file that the error names
    assert [sql for sql, _ in again.commented] == ["ALTER TABLE public.users DROP COLUMN IF EXISTS legacy"]


def test_a_not_null_column_without_default_is_filled_first_where_rows_may_be(shop: Shop) -> None:
    shop.on(shop.staging, "ALTER TABLE orders ADD COLUMN currency text NOT NULL")
    made = shop.project.generate("currency")
    assert "ADD COLUMN IF NOT EXISTS currency text;" in made.text
    (later,) = (path.read_text() for path in made.further_paths)  # after the rows are filled, and each by itself
    assert made.behaviour is not None
    assert made.path is not None
    assert made.behaviour.files == (made.path.name, made.further_paths[0].name), "what was tried is what was written"
    assert "--   -- safemig: batches of 10000 by public.orders.id, pause 100 ms" in later
    assert later.splitlines()[1].startswith("-- Nothing in this file runs: change 2 is disabled.")
    assert (
        later.index("NOT VALID") < later.index("VALIDATE") < later.index("SET NOT NULL") < later.index("end of change")
    )
    shop.deploy()  # production holds rows: a plain NOT NULL would fail
    assert shop.on(shop.production, "SELECT count(*) FROM orders WHERE currency IS NULL") == [(1000,)]


def test_an_identity_goes_on_after_the_numbers_that_are_there(shop: Shop) -> None:
    shop.on(shop.staging, "ALTER TABLE users ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY")
    shop.project.generate("number the users")
    shop.project.migrate_staging()
    accept = ["column-expression-dropped:users.id: numbered by the server from now on"]
    shop.project.migrate_prod(approve=shop.project.plan(accept=accept).id, accept=accept)
    assert shop.on(shop.production, "INSERT INTO users (email) VALUES ('next') RETURNING id") == [(201,)]


def test_a_table_that_may_have_been_renamed_is_not_made_empty(shop: Shop) -> None:
    shop.on(shop.staging, "ALTER TABLE orders RENAME TO purchases")
    made = shop.project.generate("purchases")
    assert not [each for each in parse(made.text) if "purchases" in each.sql]
    assert "this may be a rename of the table public.orders to public.purchases" in made.text


def test_what_is_dropped_and_made_again_is_one_transaction(shop: Shop) -> None:
    for sql in (
        "CREATE TYPE state AS ENUM ('a'); CREATE FUNCTION see(n bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON users USING (see(id))",
    ):
        shop.on(shop.staging, sql)
    first = shop.project.generate("state")
    assert first.path is not None
    for sql in (
        "ALTER TYPE state ADD VALUE 'b'",
        "ALTER TABLE users ADD COLUMN s state DEFAULT 'b'",
        "DROP POLICY p ON users; DROP FUNCTION see(bigint)",
        "CREATE FUNCTION see(n bigint, strict boolean DEFAULT true) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE POLICY p ON users USING (see(id))",
    ):
        shop.on(shop.staging, sql)
    made = shop.project.generate("state again")
    assert made.path is not None
    assert [each.sql for each in parse(made.text)] == ["ALTER TYPE public.state ADD VALUE IF NOT EXISTS 'b'"]
    (second,) = made.further_paths
    words = [each.sql.split()[:2] for each in parse(second.read_text())]
    assert words.index(["DROP", "POLICY"]) < words.index(["CREATE", "POLICY"])


def test_an_index_on_a_table_with_rows_comes_concurrently_in_a_file_of_its_own(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND)
    made = shop.project.generate("add user preferences table")
    (second,) = made.further_paths
    assert second.name > made.path.name  # type: ignore[union-attr]
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_active" in second.read_text()
    assert "CONCURRENTLY" not in made.text


def test_what_is_generated_reviews_as_safe(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND)
    shop.project.generate("add user preferences table")
    assert shop.project.review().verdict is Verdict.SAFE


def test_with_nothing_to_do_it_says_so_and_writes_nothing(shop: Shop) -> None:
    made = shop.project.generate("nothing")
    assert made.path is None
    assert "nothing to do" in made.proof
    assert [path.name for path in shop.migrations.iterdir()] == ["20260101000000_first.sql"]


def test_another_owner_is_a_change_and_not_compared_where_it_is_ignored(shop: Shop) -> None:
    shop.on(
        shop.staging,
        "DROP ROLE IF EXISTS staging_boss; CREATE ROLE staging_boss; ALTER TABLE orders OWNER TO staging_boss",
    )
    try:
        made = shop.project.generate("boss")
        assert "ALTER TABLE public.orders OWNER TO staging_boss;" in made.text
        assert made.proof == "proven equal"
        assert made.path is not None
        made.path.unlink()
        settings = shop.folder / "safemig.toml"
        settings.write_text('owners = "ignore"\n' + settings.read_text())
        made = shop.project.generate("boss")
        assert made.path is None
        assert made.proof.endswith('nothing to do; owners are not compared (owners = "ignore")')
    finally:
        shop.on(shop.staging, "REASSIGN OWNED BY staging_boss TO postgres; DROP ROLE staging_boss")


def test_the_heading_fits_on_one_screen(shop: Shop) -> None:
    for number in range(30):
        shop.on(
            shop.staging,
            f"CREATE TABLE a_rather_long_name_of_a_table_{number} (id int); CREATE INDEX ON orders (total, (total + {number}))",
        )
    shop.on(
        shop.staging, "DROP VIEW big_orders; ALTER TABLE users DROP COLUMN legacy, ADD COLUMN country text NOT NULL"
    )
    made = shop.project.generate("much")
    heading = made.text.split("-- Change 1 of")[0].splitlines()
    assert len(heading) <= 28
    assert max(map(len, heading)) <= 240


def test_what_was_tried_on_rows_is_in_the_result_and_ticks_the_checklist(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND)
    made = shop.project.generate("add user preferences table")
    assert made.behaviour is not None
    tried = {each.what: each.outcomes for each in made.behaviour.tried}
    assert tried["insert into public.users"] == ("works", "works", "works")
    assert tried["read view public.big_orders"][0].startswith("works")
    assert tried["read table public.user_preferences"][:2] == ("", "")
    assert made.behaviour.gaps == made.behaviour.broken == ()
    assert "[x] nothing fails between two files: " in made.text
    assert ("public.users", "ACCESS EXCLUSIVE") in made.behaviour.locks[0]


def test_staging_is_only_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that may do nothing else is enough."""
    shop.on(shop.staging, BY_HAND)
    shop.on(
        shop.staging,
        "DROP ROLE IF EXISTS only_reads; CREATE ROLE only_reads LOGIN; GRANT pg_read_all_data TO only_reads",
    )
    monkeypatch.setenv("STAGING_DATABASE_URL", shop.staging.replace("postgres@", "only_reads@"))
    made = shop.project.generate("add user preferences table")
    assert made.remaining == ()
    assert "CREATE TABLE IF NOT EXISTS public.user_preferences" in made.text
    shop.on(shop.staging, "DROP ROLE only_reads")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE TABLE a (id int;", ["does not parse", "20260102000000_wrong.sql, line 1, column 23"]),
        ("\nCREATE TABLE a (id int);\nALTER TABLE nowhere ADD x int;", ["nowhere", "wrong.sql, line 3: ALTER TABLE"]),
        ("CREATE TABLE a (id int);\nCOMMIT;\nCREATE TABLE b (id int);", ["COMMIT in a migration", "line 2"]),
        (
            "CREATE INDEX CONCURRENTLY a ON users (email);\nCREATE TABLE b ();",
            ["cannot run in a transaction", "line 1"],
        ),
    ],
)
def test_local_migrations_that_do_not_run_are_named_with_the_place(shop: Shop, sql: str, words: list[str]) -> None:
    shop.on(shop.staging, BY_HAND)
    shop.write("20260102000000_wrong.sql", sql)
    with pytest.raises(MigrationError) as caught:
        shop.project.generate("x")
    for word in words:
        assert word in str(caught.value)
    assert len(list(shop.migrations.iterdir())) == 2


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql://app:hunter2@127.0.0.1:1/shop", "staging cannot be reached"),
        ("postgresql://app:hunter2@[nonsense", "not valid"),
        ("host=/nowhere dbname=x password=hunter2", "staging cannot be reached"),
        ("service=hunter2_is_no_service", "not defined"),
    ],
)
def test_an_unreachable_staging_is_said_without_the_password(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, url: str, word: str
) -> None:
    monkeypatch.setenv("STAGING_DATABASE_URL", url)
    with pytest.raises(UnreachableError) as caught:
        shop.project.generate("x")
    assert word in str(caught.value)
    if "service" not in url:
        assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_migrations_folder_is_said(shop: Shop) -> None:
    (shop.migrations / "20260101000000_first.sql").unlink()
    shop.migrations.rmdir()
    with pytest.raises(SafemigError, match="migrations folder does not exist"):
        shop.project.generate("x")


@pytest.fixture
def oldest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Staging on the oldest server here, while only the programs of another version are to be found."""
    if len(MAJORS) < 2:
        pytest.skip("needs two versions of PostgreSQL")
    with ThrowawayServer.start(major=MAJORS[0]) as server:
        url = server.create_database("staging")
        shop.on(url, FIRST)
        monkeypatch.setenv("STAGING_DATABASE_URL", url)
        monkeypatch.setenv(PROGRAMS_VARIABLE, str(server_programs(major=MAJORS[1]).folder))
        yield url


def test_what_needs_an_extension_that_is_not_here_is_compared_by_a_stand_in(shop: Shop, oldest: str) -> None:
    extensions = {name for (name,) in shop.on(oldest, "SELECT name FROM pg_available_extensions")}
    if not {"uuid-ossp", "xml2"} <= extensions:
        pytest.skip("the oldest PostgreSQL here came without uuid-ossp and xml2")
    shop.on(
        oldest,
        'CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION xml2; CREATE TABLE notes (id uuid DEFAULT uuid_generate_v4(), n int);'
        "CREATE VIEW titles AS SELECT xpath_string(email, '/t') AS title FROM users; ALTER TABLE users ADD active boolean",
    )
    made = shop.project.generate("more")
    statements = "\n".join(line for line in made.text.split("\n") if not line.startswith("--"))
    assert "CREATE TABLE IF NOT EXISTS public.notes" in statements
    assert "ADD COLUMN IF NOT EXISTS active" in statements
    assert "titles" in statements
    assert made.proof.startswith("proven equal")


def test_a_staging_newer_than_every_server_here_is_refused_with_what_was_found(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(MAJORS) < 2:
        pytest.skip("needs two versions of PostgreSQL")
    old = server_programs(major=MAJORS[0])
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(old.folder))
    shop.on(shop.staging, "CREATE TABLE notes (id int)")
    with pytest.raises(ToolError, match=rf"no PostgreSQL server \({MAJORS[-1]} or later\)") as raised:
        shop.project.generate("more")
    assert raised.value.where == f"found: {old.version}"
    # To compare two databases needs no program at all.
    assert "CREATE TABLE IF NOT EXISTS public.notes" in shop.project.schema_diff("production", "staging").sql


def test_mere_column_order_is_a_note(shop: Shop) -> None:
    shop.write("20260102000000_notes.sql", "CREATE TABLE notes (a int, b int);")
    shop.on(shop.staging, "CREATE TABLE notes (b int, a int); CREATE TABLE more (x int)")
    made = shop.project.generate("more")
    assert made.proof == "proven equal; 1 table with columns in another order"
    assert made.remaining == ()
    assert any("the columns of public.notes will be in another order" in each for each in made.diff.warnings)


def test_staging_of_another_version_is_read_in_the_words_of_ours(shop: Shop, oldest: str) -> None:
    nothing = shop.project.generate("nothing")
    assert nothing.path is None, nothing.text  # 15 writes the view otherwise, and it is the same
    shop.on(oldest, "CREATE VIEW totals AS SELECT user_id, sum(total) AS all_of_it FROM orders GROUP BY user_id")
    made = shop.project.generate("totals")
    assert made.diff.summary == "1 change: +1 view"
    assert made.proof == "proven equal"
