"""The verdict on whole migrations: what a team really deploys is safe, and one dangerous line is enough."""

from __future__ import annotations

import time

import pytest

from safemig.errors import ReviewRefusedError, SettingsError
from safemig.review import Acceptance, Severity, Verdict, json_report, review
from safemig.sql import SourceFile

GENERATED = """
-- safemig: generated from staging; 1 destructive statement is commented out
CREATE TABLE IF NOT EXISTS user_preferences (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    theme text NOT NULL DEFAULT 'light' CHECK (theme IN ('light', 'dark')),
    settings jsonb NOT NULL DEFAULT '{}'::jsonb,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id)
);
CREATE INDEX IF NOT EXISTS user_preferences_theme_idx ON user_preferences (theme);
ALTER TABLE user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_preferences ON user_preferences FOR ALL TO app
    USING (user_id = current_setting('app.user_id')::bigint);
CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;
CREATE TRIGGER user_preferences_touch BEFORE UPDATE ON user_preferences
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
GRANT SELECT, INSERT, UPDATE, DELETE ON user_preferences TO app;
ALTER TABLE users ADD COLUMN IF NOT EXISTS marketing_opt_in boolean NOT NULL DEFAULT false;
ALTER TYPE order_status ADD VALUE IF NOT EXISTS 'returned' AFTER 'shipped';
CREATE OR REPLACE VIEW active_users AS SELECT id, email FROM users WHERE active;
COMMENT ON TABLE user_preferences IS 'what a user likes; rows DELETE with the user';
-- ALTER TABLE users DROP COLUMN legacy_flag;
"""


def verdict(*texts: str, **options: object) -> Verdict:
    files = [SourceFile(f"{number}.sql", text) for number, text in enumerate(texts)]
    return review(files, **options).verdict  # type: ignore[arg-type]


def test_a_generated_migration_is_safe_to_deploy() -> None:
    made = review([SourceFile("20231201120000_add_user_preferences_table.sql", GENERATED)])
    assert [str(finding.rule) for finding in made.standing] == []
    assert str(made.verdict) == "SAFE TO DEPLOY"


def test_a_concurrent_index_in_a_file_of_its_own_is_safe() -> None:
    assert (
        verdict(GENERATED, "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);") is Verdict.SAFE
    )


def test_one_dangerous_line_stops_everything() -> None:
    assert verdict(GENERATED, "ALTER TABLE users DROP COLUMN legacy_flag;") is Verdict.STOP


def test_only_cautions_need_attention() -> None:
    assert verdict("ALTER TABLE users ALTER COLUMN id TYPE bigint;") is Verdict.ATTENTION


def test_an_object_of_an_earlier_file_is_new_in_a_later_one() -> None:
    assert (
        verdict("CREATE TABLE notes (id bigint);", "CREATE INDEX notes_idx ON notes (id); DROP TABLE notes;")
        is Verdict.SAFE
    )


def test_what_applied_migrations_made_is_not_new() -> None:
    applied = [SourceFile("0.sql", "CREATE TABLE notes (id bigint);")]
    assert verdict("CREATE INDEX notes_idx ON notes (id);", applied=applied) is Verdict.ATTENTION


def test_a_text_that_does_not_parse_is_a_finding_with_its_place() -> None:
    made = review([SourceFile("a.sql", "SELECT 1;\n\nCREATE TABEL users (id int);")])
    [finding] = made.findings
    assert made.verdict is Verdict.STOP
    assert (finding.rule, finding.file, finding.line, finding.column) == ("cannot-be-read", "a.sql", 3, 8)


def test_findings_have_the_place_of_their_clause() -> None:
    sql = "SELECT 1;\n  ALTER TABLE users\n    ADD COLUMN IF NOT EXISTS a int,\n    DROP COLUMN b;"
    [finding] = review([SourceFile("a.sql", sql)]).standing
    assert (finding.line, finding.column, finding.object) == (4, 5, "users.b")


def test_an_accepted_finding_stays_listed_and_does_not_stand() -> None:
    accept = [Acceptance.parse("drop-column:users.legacy: moved to profiles on 2026-10-02")]
    made = review([SourceFile("a.sql", "ALTER TABLE public.users DROP COLUMN legacy")], accept=accept)
    assert made.verdict is Verdict.SAFE
    assert [finding.accepted for finding in made.findings] == ["moved to profiles on 2026-10-02"]
    assert made.unused_acceptances == ()


def test_an_acceptance_of_another_object_accepts_nothing_and_is_reported() -> None:
    accept = [Acceptance.parse("drop-column:users.other: no reason to keep it")]
    made = review([SourceFile("a.sql", "ALTER TABLE users DROP COLUMN legacy")], accept=accept)
    assert made.verdict is Verdict.STOP
    assert made.unused_acceptances == tuple(accept)


def test_an_acceptance_in_a_file_holds_for_that_file_only() -> None:
    comment = "-- safemig: accept drop-column users.legacy: moved to profiles\n"
    sql = "ALTER TABLE users DROP COLUMN legacy;"
    assert verdict(comment + sql) is Verdict.SAFE
    assert verdict(comment + "SELECT 1", sql) is Verdict.STOP
    assert verdict(f"SELECT $$\n{comment}$$;" + sql) is Verdict.STOP


def test_what_cannot_be_read_cannot_be_accepted() -> None:
    accept = [Acceptance("cannot-be-read", "0.sql", "we know")]
    made = review([SourceFile("0.sql", "SELEKT 1")], accept=accept)
    assert made.verdict is Verdict.STOP
    assert made.unused_acceptances == tuple(accept)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("storage.objects.Members upload", 'CREATE POLICY "Members upload" ON storage.objects FOR SELECT USING (true)'),
        (
            'storage.objects."Members: upload"',
            'CREATE POLICY "Members: upload" ON storage.objects FOR SELECT USING (true)',
        ),
    ],
)
def test_an_object_whose_name_holds_blanks_is_accepted_as_it_is_printed(text: str, sql: str) -> None:
    made = review([SourceFile("a.sql", sql)])
    (rule,) = {finding.rule for finding in made.standing}
    accept = [Acceptance.parse(f"{rule}:{text}: looked at")]
    assert review([SourceFile("a.sql", sql)], accept=accept).verdict is Verdict.SAFE


@pytest.mark.parametrize(
    "text", ["drop-column", "drop-column:users.a", "drop-column:users.a:", "no-such-rule:a: b", "*: *: all", ""]
)
def test_an_acceptance_without_rule_object_and_reason_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        Acceptance.parse(text)


def test_recommendations_are_listed_and_do_not_weigh() -> None:
    made = review([SourceFile("a.sql", "CREATE INDEX CONCURRENTLY i ON users (a)")])
    assert made.verdict is Verdict.SAFE
    assert {finding.severity for finding in made.findings} == {Severity.RECOMMENDATION}


def test_where_no_file_was_read_nothing_is_called_safe() -> None:
    assert verdict() is Verdict.NOTHING
    assert verdict("", "-- nothing here\n") is Verdict.SAFE


HOLES = [
    "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables LOOP EXECUTE 'DROP TABLE ' || quote_ident(t); END LOOP; END $$",
    "DO $$ BEGIN EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE bigint', 'a' || random(), 'b' || random()); END $$",
    "DO $$ BEGIN EXECUTE format('CREATE INDEX %I ON %I (a)', 'a' || random(), 'b' || random()); END $$",
    "DO $$ BEGIN EXECUTE format('DELETE FROM %I WHERE a = %L', 'a' || random(), random()); END $$",
    "DO $$ BEGIN EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (a > 0)', random(), random()); END $$",
    "DO $$ BEGIN EXECUTE 'TRUNCATE ' || current_setting('a.b'); END $$",
]


@pytest.mark.parametrize("sql", HOLES)
def test_a_name_that_is_known_at_run_time_only_is_shown_as_such(sql: str) -> None:
    made = review([SourceFile("m.sql", sql)])
    assert made.standing
    assert "safemig_hole" not in made.render() + json_report(made) + made.fixed_sql


def test_what_cannot_be_read_is_not_offered_for_acceptance() -> None:
    made = review([SourceFile("m.sql", "CREATE TABEL x (a int);")])
    (finding,) = made.standing
    assert not finding.can_be_accepted
    assert "accept it by name" not in made.render()
    assert "cannot be accepted" in made.way_on
    with pytest.raises(ReviewRefusedError, match="cannot be accepted"):
        made.require_safe()


def test_a_thousand_statements_in_one_file_take_well_under_two_seconds_of_processor_time() -> None:
    sql = "\n".join(
        f"CREATE TABLE IF NOT EXISTS t{n} (id bigint PRIMARY KEY, u bigint REFERENCES users); CREATE INDEX i{n} ON users (a{n});\n"
        f"ALTER TABLE users ADD CONSTRAINT c{n} CHECK (a > {n}); ALTER TABLE orders ADD COLUMN IF NOT EXISTS x{n} int DEFAULT 1;"
        for n in range(250)
    )
    started = time.process_time()
    made = review([SourceFile("m.sql", sql)])
    assert time.process_time() - started < 2
    assert sum(len(file.statements) for file in made.files) == 1000
