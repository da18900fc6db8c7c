"""migrate_staging: applies what is missing, records what is there already, says what is there in part."""

from __future__ import annotations

import pytest

from safemig.errors import DeploymentFailedError, MigrationError
from tests.operations.conftest import Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = """
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;
"""


def _history(shop: Shop) -> list[object]:
    return [
        version
        for (version,) in shop.on(shop.staging, "SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1")
    ]


def test_what_is_pending_is_applied(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    done = shop.project.migrate_staging()
    assert done.migrations == (SECOND_FILE,)
    assert [step.state for step in done.steps] == ["ran", "ran"]
    assert _history(shop) == ["20260101000000", "20260102000000"]
    assert shop.project.migrate_staging().verdict == "NOTHING TO DEPLOY"


def test_what_was_done_by_hand_is_only_recorded(shop: Shop) -> None:
    shop.on(shop.staging, SECOND)
    shop.project.generate("by hand")
    done = shop.project.migrate_staging()
    assert done.migrations == ()
    assert len(done.recorded_only) == 1
    assert len(_history(shop)) == 2
    assert shop.project.generate("again").path is None


def test_rows_that_a_recorded_file_writes_are_said_not_to_be_written(shop: Shop) -> None:
    shop.on(shop.staging, SECOND)
    shop.write(SECOND_FILE, SECOND + "INSERT INTO notes VALUES (1, 'seed');")
    assert shop.project.migrate_staging().notes == (
        f"{SECOND_FILE} was recorded only: its INSERT in line 4 was not run",
    )


def test_what_is_there_in_part_is_refused_and_the_rest_named(shop: Shop) -> None:
    shop.on(shop.staging, "CREATE TABLE notes (id bigint PRIMARY KEY, body text)")
    shop.write(SECOND_FILE, SECOND)
    with pytest.raises(MigrationError, match=r"missing: column public\.users\.active"):
        shop.project.migrate_staging()
    assert len(_history(shop)) == 1


def test_a_migration_of_rows_alone_is_run(shop: Shop) -> None:
    shop.write(SECOND_FILE, "INSERT INTO users VALUES (1, 'a@example.com', NULL);")
    assert shop.project.migrate_staging().steps[0].rows == 1
    assert shop.on(shop.staging, "SELECT count(*) FROM users") == [(1,)]


def test_a_failure_leaves_staging_as_it_was(shop: Shop) -> None:
    shop.on(shop.staging, "INSERT INTO users VALUES (1, 'a', 'x'), (2, 'b', 'x')")
    shop.write(SECOND_FILE, SECOND + "CREATE UNIQUE INDEX IF NOT EXISTS one ON users (legacy);")
    with pytest.raises(DeploymentFailedError, match="could not create unique index"):
        shop.project.migrate_staging()
    assert len(_history(shop)) == 1
    assert shop.on(shop.staging, "SELECT to_regclass('notes')::text") == [(None,)]


def test_an_index_concurrently_is_run_apart(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    shop.write("20260103000000_index.sql", "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy);")
    assert len(shop.project.migrate_staging().steps) == 3
    assert len(_history(shop)) == 3
