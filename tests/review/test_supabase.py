"""What a Supabase project's API would expose or not reach, told before the migration runs; each seen on a server like Supabase's."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.operations.review import review_files
from safemig.postgres.target_facts import read_target_facts
from safemig.review import Severity, review
from safemig.review.facts import TargetFacts
from safemig.review.registry import is_known
from safemig.sql import SourceFile
from tests.platforms.boxes import Platform

T = "CREATE TABLE public.notes (id bigint PRIMARY KEY, user_id uuid);\n"
CLOSED = "table-without-api-grants"
OPEN = "table-without-row-security"
NO_POLICY = "row-security-without-policy"
RLS = "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
FUNCTION = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';"
OURS = {
    CLOSED, OPEN, NO_POLICY, "policy-always-true", "policy-trusts-user-metadata", "policy-calls-per-row", "view-without-security-invoker",
    "auth-users-exposed", "definer-function-in-api", "no-row-security-possible", "extension-in-public", "several-permissive-policies",
    "queue-without-row-security", "foreign-key-to-auth-unique", "bucket-can-be-listed",
}  # fmt: skip
# (what the files say, which of the rules find something)
CASES: dict[str, tuple[list[str], set[str]]] = {
    "a bare table": ([T], {CLOSED, OPEN}),
    "granted, not secured": ([T, "GRANT ALL ON notes TO anon;"], {OPEN}),
    "granted to the server's key alone": ([T, "GRANT ALL ON notes TO service_role;"], set()),
    "secured by a later file": ([T + "GRANT ALL ON notes TO authenticated;", RLS], {NO_POLICY}),
    "whole": ([T + RLS + "GRANT ALL ON notes TO authenticated; CREATE POLICY p ON notes USING ((SELECT auth.uid()) = user_id);"], set()),
    "a policy without effect": ([T + "GRANT ALL ON notes TO anon; CREATE POLICY p ON notes USING (id > 0);"], {OPEN}),
    "the policy is dropped again": ([T + RLS + "GRANT SELECT ON notes TO anon; CREATE POLICY p ON notes USING (id > 0);", "DROP POLICY p ON notes;"],
                                    {NO_POLICY}),
    "granted on all tables": ([T + RLS + "GRANT SELECT ON ALL TABLES IN SCHEMA public TO anon; CREATE POLICY p ON notes USING (id > 0);"], set()),
    "granted before it was made": (["GRANT SELECT ON ALL TABLES IN SCHEMA public TO anon;" + T + RLS], {CLOSED, NO_POLICY}),
    "granted by default": (["ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO anon;" + T], {OPEN}),
    "granted and revoked": ([T + RLS + "GRANT ALL ON notes TO anon; REVOKE ALL ON notes FROM anon;"], {CLOSED, NO_POLICY}),
    "renamed": ([T + RLS + "GRANT ALL ON notes TO service_role;", "ALTER TABLE notes RENAME TO papers;"], {NO_POLICY}),
    "dropped again": ([T, "DROP TABLE notes;"], set()),
    "moved out of the API": ([T + "ALTER TABLE notes SET SCHEMA private;"], set()),
    "in another schema": (["SET search_path = private; CREATE TABLE notes (id bigint PRIMARY KEY);"], set()),
    "temporary": (["CREATE TEMP TABLE notes (id bigint PRIMARY KEY);"], set()),
    "in a DO block": (["DO $$ BEGIN CREATE TABLE public.notes (id bigint PRIMARY KEY); END $$;"], {CLOSED, OPEN}),
    "made from a query": (["CREATE TABLE notes AS SELECT 1 AS id; GRANT ALL ON notes TO anon;"], {OPEN}),
    "row security off again": ([T + RLS + "GRANT ALL ON notes TO anon; ALTER TABLE notes DISABLE ROW LEVEL SECURITY;"], {OPEN}),
    "an old table": (["ALTER TABLE notes ADD COLUMN IF NOT EXISTS a int;"], set()),
    "anyone writes": (["CREATE POLICY p ON notes FOR UPDATE USING (true) WITH CHECK (1 = 1);"], {"policy-always-true"}),
    "anyone reads": (["CREATE POLICY p ON notes FOR SELECT USING (true);"], {"policy-always-true"}),
    "true in a sub-select": (["CREATE POLICY p ON notes USING ((SELECT true));"], {"policy-always-true"}),
    "the server alone": (["CREATE POLICY p ON notes TO service_role USING (true) WITH CHECK (true);"], set()),
    "a restrictive policy": (["CREATE POLICY p ON notes AS RESTRICTIVE USING (true);"], set()),
    "not always true": (["CREATE POLICY p ON notes USING (id = id AND user_id IS NOT NULL);"], set()),
    "a policy is opened": (["ALTER POLICY p ON notes USING (true);"], {"policy-always-true"}),
    "an invoker's view": (["CREATE VIEW v WITH (security_invoker) AS SELECT 1 AS a; GRANT SELECT ON v TO anon;"], set()),
    "a view": (["CREATE VIEW v AS SELECT 1 AS a; GRANT SELECT ON v TO anon;"], {"view-without-security-invoker"}),
    "a view that is altered": (["CREATE VIEW v AS SELECT 1 AS a; GRANT SELECT ON v TO anon;", "ALTER VIEW v SET (security_invoker = 'yes');"], set()),
    "replaced without the option": (["CREATE VIEW v WITH (security_invoker = on) AS SELECT 1 AS a; GRANT SELECT ON v TO anon;"
                                     "CREATE OR REPLACE VIEW v AS SELECT 1 AS a;"], {"view-without-security-invoker"}),
    "a view of auth.users": (["CREATE VIEW v AS SELECT id FROM auth.users; GRANT SELECT ON v TO anon;"], {"auth-users-exposed"}),
    "a sub-select of auth.users": (["CREATE VIEW v AS SELECT (SELECT email FROM auth.users LIMIT 1); GRANT SELECT ON v TO anon;"],
                                   {"auth-users-exposed"}),
    "a copy of auth.users": (["CREATE TABLE t AS SELECT email FROM auth.users; GRANT SELECT ON t TO service_role;"], {"auth-users-exposed"}),
    "a definer function": ([FUNCTION], {"definer-function-in-api"}),
    "revoked from PUBLIC": ([FUNCTION + "REVOKE ALL ON FUNCTION f(int) FROM PUBLIC;"], set()),
    "revoked from all functions": ([FUNCTION + "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, anon, authenticated;"], set()),
    "revoked from anon alone": ([FUNCTION + "REVOKE EXECUTE ON FUNCTION f(int) FROM anon;"], {"definer-function-in-api"}),
    "an invoker in the end": ([FUNCTION + "ALTER FUNCTION f(int) SECURITY INVOKER;"], set()),
    "a trigger's function": (["CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS 'BEGIN RETURN NEW; END';"],
                             set()),
    "two policies of one role": (["CREATE POLICY a ON notes FOR SELECT USING (id > 1); CREATE POLICY b ON notes USING (id > 2);"],
                                 {"several-permissive-policies"}),
    "two policies of a file each": (["CREATE POLICY a ON notes TO anon USING (id > 1);", "CREATE POLICY b ON notes USING (id > 2);"],
                                    {"several-permissive-policies"}),
    "a policy in place of another": (["CREATE POLICY a ON notes USING (id > 1);", "DROP POLICY a ON notes; CREATE POLICY b ON notes USING (id > 2);"],
                                     set()),
    "a queue": (["SELECT pgmq.create('jobs');"], {"queue-without-row-security"}),
    "a queue with row security": (["SELECT pgmq.create('Jobs'); ALTER TABLE pgmq.q_jobs ENABLE ROW LEVEL SECURITY;"], set()),
    "a key into auth": (["ALTER TABLE notes ADD FOREIGN KEY (mail) REFERENCES auth.users (email) NOT VALID;"], {"foreign-key-to-auth-unique"}),
    "a bucket's list": (["CREATE POLICY p ON storage.objects FOR SELECT TO anon USING (bucket_id = 'avatars');"], {"bucket-can-be-listed"}),
    "a policy's function": ([FUNCTION + "CREATE POLICY p ON notes USING (f(1) = 1);"], {"definer-function-in-api"}),
}  # fmt: skip
LIGHT = {"anyone reads", "a policy's function"}


def found_in(texts: list[str], target: TargetFacts | None = None) -> set[str]:
    files = [SourceFile(f"{number}.sql", text) for number, text in enumerate(texts)]
    return {one.rule for one in review(files, platform="Supabase", target=target).findings} & OURS


@pytest.mark.parametrize("name", CASES)
def test_what_the_files_leave_is_judged_as_a_whole(name: str) -> None:
    texts, expected = CASES[name]
    assert found_in(texts) == expected
    assert not {one.rule for one in review([SourceFile("m.sql", "\n".join(texts))]).findings} & OURS, (
        "on no other platform"
    )


@pytest.mark.parametrize("name", sorted(LIGHT))
def test_what_is_often_meant_is_a_recommendation(name: str) -> None:
    made = review([SourceFile("m.sql", "".join(CASES[name][0]))], platform="Supabase")
    assert {one.severity for one in made.findings if one.rule in CASES[name][1]} == {Severity.RECOMMENDATION}


def test_a_finding_stands_where_the_object_is_made() -> None:
    files = [SourceFile("1.sql", "SELECT 1;\n" + T + "GRANT ALL ON notes TO anon;"), SourceFile("2.sql", "SELECT 2;")]
    (found,) = [one for one in review(files, platform="Supabase").findings if one.rule == OPEN]
    assert (found.file, found.line, found.object) == ("1.sql", 2, "notes")


def as_role(url: str, role: str, query: str) -> object:
    """Return the first value that the role reads, or the SQLSTATE of the refusal."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        try:
            row = connection.execute(query.encode()).fetchone()
            return row and row[0]
        except psycopg.Error as error:
            return error.sqlstate


@pytest.fixture
def box(platform: Callable[..., Platform]) -> Platform:
    made = platform("supabase")
    made.run(
        made.production,
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM anon, authenticated, service_role;",
    )
    return made


def facts_of(box: Platform) -> TargetFacts:
    with psycopg.connect(box.production) as connection:
        return read_target_facts(connection, "production")


# (the migration, its rule, a query of anon's, what anon gets, what it gets once the safer SQL has run)
SEEN = [
    (T, CLOSED, "SELECT count(*) FROM notes", "42501", "42501"),
    (T + "GRANT ALL ON notes TO anon; INSERT INTO notes VALUES (1);", OPEN, "SELECT count(*) FROM notes", 1, 0),
    (T + RLS + "INSERT INTO notes VALUES (1); CREATE VIEW v AS SELECT * FROM notes; GRANT SELECT ON v, notes TO anon;",
     "view-without-security-invoker", "SELECT count(*) FROM v", 1, 0),
    (T + RLS + "INSERT INTO notes VALUES (1); CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public "
     "AS 'SELECT count(*) FROM notes';", "definer-function-in-api", "SELECT f()", 1, "42501"),
    (T + RLS + "INSERT INTO notes VALUES (1); GRANT SELECT ON notes TO anon; CREATE POLICY p ON notes USING (true);",
     "policy-always-true", "SELECT count(*) FROM notes", 1, 0),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "rule", "query", "before", "after"), SEEN, ids=[case[1] for case in SEEN])
def test_what_is_said_happens_and_the_safer_sql_prevents_it(
    box: Platform, sql: str, rule: str, query: str, before: object, after: object
) -> None:
    facts = facts_of(box)
    assert facts.platform == "Supabase"
    made = review([SourceFile("m.sql", sql)], target=facts)
    (found,) = [one for one in made.findings if one.rule == rule]
    assert found.severity is Severity.CAUTION
    box.run(box.production, sql)
    assert as_role(box.production_admin, "anon", query) == before
    box.run(box.production, found.safer)
    assert as_role(box.production_admin, "anon", query) == after
    if rule == CLOSED:
        assert as_role(box.production_admin, "service_role", query) == 0


def test_old_default_privileges_are_read_from_the_target(platform: Callable[..., Platform]) -> None:
    box = platform("supabase")
    grant = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;"
    box.run(box.production, grant)
    assert facts_of(box).granted_by_default >= {"anon", "authenticated", "service_role"}
    assert found_in([T], facts_of(box)) == {OPEN}


def test_a_project_s_config_tells_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRODUCTION_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "app/supabase/migrations"
    folder.mkdir(parents=True)
    file = folder / "20260101000000_notes.sql"
    file.write_text(T)
    assert not {one.rule for one in review_files([file]).findings} & OURS
    (folder.parent / "config.toml").write_text('project_id = "x"\n')
    assert {one.rule for one in review_files([file]).findings} & OURS == {CLOSED, OPEN}


def test_the_table_against_the_advisor_names_rules_that_exist() -> None:
    page = (Path(__file__).parents[2] / "docs/supabase_advisor.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", page))
    assert {name for name in named if not is_known(name)} == set()
    assert named >= OURS
