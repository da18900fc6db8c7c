"""The fixed form of a migration reviews as safe, and applied it gives the same schema: pg_dump is the judge."""

from __future__ import annotations

import re
import subprocess

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review import Review, TargetFacts, Verdict, review
from safemig.review.fix import part_name
from safemig.sql import SourceFile, parse

MIGRATIONS = {
    "index": "CREATE INDEX users_name_idx ON users (name);",
    "unique index with a condition": "-- why\nCREATE UNIQUE INDEX IF NOT EXISTS u ON users USING btree (lower(email)) WHERE n > 5;",
    "index without a name": "CREATE INDEX ON users (name, email);",
    "drop index": "DROP INDEX users_email_idx;",
    "check": "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0);",
    "check without a name": "ALTER TABLE users ADD CHECK (n >= 0);",
    "check over two columns without a name": "ALTER TABLE users ADD CHECK (n > 0 OR id > 0)",
    "foreign key": "ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (total) REFERENCES teams (id) ON DELETE SET NULL DEFERRABLE;",
    "foreign key without a name": "ALTER TABLE ONLY orders ADD FOREIGN KEY (total) REFERENCES teams",
    "unique": "ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);",
    "unique without a name": "ALTER TABLE users ADD UNIQUE (id, name);",
    "not null": "ALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    "not null without the keyword": "ALTER TABLE IF EXISTS public.users ALTER email SET NOT NULL;",
    "many commands": "ALTER TABLE users ADD COLUMN extra text DEFAULT 'a,b', ADD CONSTRAINT c CHECK (n > 0), ALTER email SET NOT NULL,\n"
    "  ALTER COLUMN note DROP DEFAULT, ADD UNIQUE (email);",
    "guards": "CREATE TABLE fresh (id bigint PRIMARY KEY, user_id int REFERENCES users);\nALTER TABLE users ADD extra int;\n"
    "CREATE INDEX fresh_idx ON fresh (user_id);",
    "not valid and validate": "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT c;",
    "a wrapped file": "BEGIN;\nCREATE TABLE IF NOT EXISTS fresh (id bigint PRIMARY KEY);\nCREATE INDEX i ON users (name);\nCOMMIT;\n",
    "in between": "CREATE TABLE IF NOT EXISTS a (id int PRIMARY KEY);\n-- then the index\nCREATE INDEX i ON users (name); -- tail\n"
    "CREATE TABLE IF NOT EXISTS b (id int PRIMARY KEY);\n-- end\n",
    "quoted names": 'CREATE TABLE IF NOT EXISTS "Wide Table" ("A b" int);\nALTER TABLE people ADD COLUMN "naïve" text; '
    'ALTER TABLE people ADD CONSTRAINT "C c" CHECK ("naïve" <> \'é;\');',
}


def apply(url: str, files: tuple[SourceFile, ...]) -> None:
    """Run each file as a deployment of its own: in one transaction, unless it holds what refuses one."""
    for file in files:
        statements = parse(file.sql)
        together = all(statement.transactional for statement in statements)
        with psycopg.connect(url, autocommit=not together) as connection:
            for statement in statements:
                if not statement.is_transaction_control:
                    connection.execute(statement.sql.encode())


def schema(server: ThrowawayServer, url: str) -> str:
    dump = subprocess.run(
        [server.programs.path("pg_dump"), "--schema-only", url], check=True, capture_output=True, text=True
    ).stdout
    return re.sub(r"(?m)^\\(un)?restrict .*\n", "", dump)


@pytest.mark.parametrize("name", MIGRATIONS)
def test_the_fixed_form_is_safe_and_gives_the_same_schema(name: str, server: ThrowawayServer, newest_shop: str) -> None:
    sql = MIGRATIONS[name]
    made = review([SourceFile("20260101000000_m.sql", sql)])
    again = review(made.fixed_files)
    assert again.verdict is Verdict.SAFE, [(finding.rule, finding.message) for finding in again.standing]
    dumps = []
    for files in ((SourceFile("m.sql", sql),), made.fixed_files):
        url = server.create_database("fixed", template="shop")
        apply(url, files)
        dumps.append(schema(server, url))
        server.drop_database("fixed")
    assert dumps[0] == dumps[1]


def reviewed(sql: str, target: TargetFacts | None = None) -> Review:
    return review([SourceFile("m.sql", sql)], target=target)


def test_what_needs_no_fix_stays_as_it_is_to_the_byte() -> None:
    sql = "-- a\nCREATE TABLE IF NOT EXISTS t (a int);;\n\n/* b */ INSERT INTO t VALUES (1) -- c\n"
    assert reviewed(sql).fixed_sql == sql


LEFT_ALONE = (
    "DROP TABLE users;",
    "ALTER TABLE users DROP COLUMN a;",
    "DELETE FROM users;",
    "SELEKT 1;",
    "DROP INDEX i CASCADE;",
    "ALTER TABLE e DETACH PARTITION p;",
)


def test_what_has_no_mechanical_fix_is_left_alone() -> None:
    for sql in LEFT_ALONE:
        assert reviewed(sql).fixed_sql == sql


def test_nothing_waits_behind_a_statement_that_moves_its_table() -> None:
    sql = "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0);\nALTER TABLE users RENAME TO people;\n"
    assert reviewed(sql).fixed_sql == sql


def test_parts_are_named_so_that_they_sort_after_the_file() -> None:
    sql = "CREATE TABLE IF NOT EXISTS a (b int); CREATE INDEX i ON t (a);"
    made = review([SourceFile("supabase/migrations/20260101000000_m.sql", sql)])
    assert [file.name for file in made.fixed_files] == [
        "supabase/migrations/20260101000000_m.sql",
        "supabase/migrations/20260101000001_m_part_2.sql",
    ]
    assert "-- safemig: file supabase/migrations/20260101000001_m_part_2.sql\n" in made.fixed_sql


NAMES = [
    ("20260101000000_m.sql", 0, "20260101000000_m.sql"),
    ("20260101000000_m.sql", 1, "20260101000001_m_part_2.sql"),
    ("20260101000059_m.sql", 1, "20260101000100_m_part_2.sql"),
    ("supabase/migrations/20261231235959_m.sql", 2, "supabase/migrations/20270101000001_m_part_3.sql"),
    ("20260230000099_m.sql", 1, "20260230000100_m_part_2.sql"),
    ("99991231235959_m.sql", 1, "99991231235960_m_part_2.sql"),
    ("20260101000059.sql", 1, "20260101000100_part_2.sql"),
    ("m.sql", 1, "m_part_2.sql"),
    ("m", 2, "m_part_3"),
]


@pytest.mark.parametrize(("name", "number", "expected"), NAMES)
def test_a_part_s_version_is_a_time_after_the_file_s(name: str, number: int, expected: str) -> None:
    assert part_name(name, number) == expected
