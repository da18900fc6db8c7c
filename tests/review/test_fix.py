"""The fixed form of a migration reviews as safe, and applied it gives the same schema: pg_dump is the judge."""

from __future__ import annotations

import re
import subprocess

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review import Review, TargetFacts, Verdict, review
from safemig.review.fix import part_name
from safemig.review.same_effect import comments, why_another
from safemig.sql import SourceFile, parse
from tests.review.test_corpus import cases

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
    "comments between commands": "ALTER TABLE users\n  -- first\n  ADD COLUMN a int, -- why\n  /* second */ ADD b /* keep */ int;",
    "comments within": "ALTER TABLE users /* one */ ALTER -- two\n email /* three */ SET NOT NULL -- four\n;\n"
    "CREATE /* five */ INDEX -- six\n users_name_idx ON users (name);",
    "a deferrable unique": "ALTER TABLE users ADD CONSTRAINT u UNIQUE (email) INCLUDE (name) WITH (fillfactor = 70) "
    "DEFERRABLE INITIALLY DEFERRED;",
    "a unique without a name that is deferrable": "ALTER TABLE users ADD UNIQUE (email) DEFERRABLE;",
    "a deferred foreign key": "ALTER TABLE ONLY orders ADD CONSTRAINT k FOREIGN KEY (total) REFERENCES teams DEFERRABLE INITIALLY DEFERRED;",
    "a check that children do not inherit": "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0) NO INHERIT;",
    "a key of a column that the statement adds": "ALTER TABLE users ADD COLUMN extra text, ADD UNIQUE (extra);",
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


# Each with the words that say why; nothing of them may change.
LEFT_WITH_A_REASON = {
    "ALTER TABLE users ADD UNIQUE (extra), ADD COLUMN extra text;": "another order",
    "ALTER TABLE users ADD CONSTRAINT c CHECK (n > 0);\nALTER TABLE users RENAME TO people;\n": "a later statement renames",
}


@pytest.mark.parametrize("sql", LEFT_WITH_A_REASON)
def test_what_might_not_keep_everything_is_left_alone_with_the_reason(sql: str) -> None:
    made = reviewed(sql)
    assert made.fixed_sql == sql
    [left] = made.left_alone
    assert LEFT_WITH_A_REASON[sql] in left.why
    assert (left.file, left.line) == ("m.sql", 1)


@pytest.mark.parametrize("name", MIGRATIONS)
def test_no_comment_is_lost(name: str) -> None:
    made = reviewed(MIGRATIONS[name])
    assert not comments(MIGRATIONS[name]) - comments("\n".join(file.sql for file in made.fixed_files))


ANOTHER_EFFECT = [
    ("CREATE TABLE t (a int, b int)", ["CREATE TABLE IF NOT EXISTS t (a int)"]),
    ("ALTER TABLE t ADD COLUMN a int, ADD COLUMN b int", ["ALTER TABLE t ADD COLUMN IF NOT EXISTS b int"]),
    ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a) DEFERRABLE",
     ["CREATE UNIQUE INDEX CONCURRENTLY k ON t (a)", "ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX k"]),
    ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)",
     ["CREATE UNIQUE INDEX CONCURRENTLY k ON t (a) WHERE a > 0", "ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX k"]),
    ("ALTER TABLE ONLY t ADD CONSTRAINT k CHECK (a > 0)",
     ["ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID", "ALTER TABLE t VALIDATE CONSTRAINT k"]),
    ("ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)", ["ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID"]),
    ("ALTER TABLE t ALTER a SET NOT NULL", ["ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL) NOT VALID"]),
    ("DROP INDEX a, b", ["DROP INDEX CONCURRENTLY IF EXISTS a"]),
    ("CREATE INDEX i ON t (a DESC)", ["CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)"]),
    ("CREATE INDEX i ON t (a)", ["CREATE INDEX CONCURRENTLY i ON"]),
]  # fmt: skip


@pytest.mark.parametrize(("original", "replaced"), ANOTHER_EFFECT)
def test_a_form_that_loses_something_is_told_from_the_parse_trees(original: str, replaced: list[str]) -> None:
    [statement] = parse(original)
    assert why_another(statement, replaced)


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


def test_how_many_files_the_safer_form_is_is_known_before_it_is_written() -> None:
    texts = [case.values[1] for case in cases()]
    texts += [text.replace("--", "").replace("\n", " ") for text in MIGRATIONS.values()]
    for one in texts:
        made = review([SourceFile("m.sql", str(one))])
        said = [line for line in made.files[0].recommendations if line.startswith("in its safer form it is")]
        number = len(made.fixed_files)
        assert [f" {number} files" in line for line in said] == ([True] if number > 1 else []), one
