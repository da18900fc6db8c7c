"""generate: staging against the local migrations becomes files that are proven and safe to read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from safemig.errors import MigrationError, SafemigError, ToolError, UnreachableError
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review import Verdict
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
        "-- Base:      1 migrations, checksum",
        "-- Proof:     proven equal",
        "-- Safety checklist",
    ):
        assert line in text
    assert "CREATE TABLE IF NOT EXISTS public.user_preferences" in text
    assert "ADD COLUMN IF NOT EXISTS active" in text
    assert "CREATE OR REPLACE VIEW public.big_orders" in text


def test_what_destroys_is_commented_out_with_its_reason_and_how_to_enable_it(shop: Shop) -> None:
    shop.on(shop.staging, BY_HAND)
    made = shop.project.generate("drop legacy")
    assert [sql for sql, _ in made.commented] == ["ALTER TABLE public.users DROP COLUMN IF EXISTS legacy"]
    lines = made.text.splitlines()
    at = lines.index("-- ALTER TABLE public.users DROP COLUMN IF EXISTS legacy;")
    assert lines[at - 2 : at] == [
        "-- DESTRUCTIVE (drop-column): the values of public.users.legacy are lost",
        "-- To do it, take the comment marks off the statement below.",
    ]
    assert not any("DROP COLUMN" in line for line in lines if not line.startswith("--"))


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
        ("BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;", ["BEGIN in a migration", "line 1"]),
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


def test_an_extension_that_is_not_here_is_named_and_the_rest_compared(shop: Shop, oldest: str) -> None:
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
    assert "EXTENSION" not in statements
    assert "titles" not in statements
    said = "lacks the extension uuid-ossp, xml2, so what needs it was not compared: default public.notes.id, view public.titles"
    assert said in made.diff.warnings[-1]
    assert "[!] all that staging has was compared: the throwaway PostgreSQL" in made.text
    assert made.proof.startswith("NOT EQUAL: ")
    assert made.proof.endswith("this machine lacks the extension uuid-ossp, xml2")
    assert any(line.startswith("missing: EXTENSION uuid-ossp") for line in made.remaining)
    assert any(line.startswith("missing: VIEW public.titles") for line in made.remaining)


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


def test_the_proof_names_what_the_file_does_not_bring_about(shop: Shop) -> None:
    shop.write("20260102000000_notes.sql", "CREATE TABLE notes (a int, b int);")
    shop.on(shop.staging, "CREATE TABLE notes (b int, a int); CREATE TABLE more (x int)")
    made = shop.project.generate("more")
    assert made.proof == "NOT EQUAL: 1 differences to staging remain"
    assert made.remaining[0].startswith("in another order: TABLE public.notes")
    assert "-- Proof:     NOT EQUAL" in made.text


def test_staging_of_another_version_is_read_in_the_words_of_ours(shop: Shop, oldest: str) -> None:
    nothing = shop.project.generate("nothing")
    assert nothing.path is None, nothing.text  # 15 writes the view otherwise, and it is the same
    shop.on(oldest, "CREATE VIEW totals AS SELECT user_id, sum(total) AS all_of_it FROM orders GROUP BY user_id")
    made = shop.project.generate("totals")
    assert made.diff.summary == "1 change: +1 view"
    assert made.proof == "proven equal"
