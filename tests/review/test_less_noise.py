"""What real projects' migrations do every day, and what the review says of it: neither less nor more than is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from safemig.errors import MigrationError
from safemig.execution.steps import plan_files
from safemig.migrations.files import Migration
from safemig.review import Verdict, review
from safemig.sql import SourceFile

USERS = "CREATE TABLE users (id bigint PRIMARY KEY, state text, mail text UNIQUE, touched timestamptz);"
TOUCH = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$;"
TRIGGER = "CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();"
LOGS = (
    "CREATE TABLE log (id bigint); CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END $$;"
)
LOG_TRIGGER = "CREATE TRIGGER logs AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION logs();"
POLICY = "CREATE POLICY own ON users FOR SELECT TO app USING (id = 1);"
VIEW = "CREATE VIEW names AS SELECT id, state FROM users;"
ONE = "CREATE FUNCTION one(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
SAVE = (
    "CREATE FUNCTION save(a int) RETURNS void LANGUAGE plpgsql AS "
    "$$ BEGIN UPDATE users SET state = 'x' WHERE state = 'y'; END $$;"
)
CHECK = "ALTER TABLE users ADD CONSTRAINT users_state_check CHECK (state <> '');"
KEY = "ALTER TABLE users DROP CONSTRAINT users_mail_key"

SPARED = {
    "an UPDATE by a key of the table": (USERS, "UPDATE users SET state = 'x' WHERE mail = 'a@example.org'"),
    "an UPDATE by several values of a key": (
        USERS,
        "UPDATE users SET state = 'x' WHERE mail IN ('a', 'b') AND state = 'y'",
    ),
    "a trigger that is re-created as it was": (
        USERS + LOGS + LOG_TRIGGER,
        f"DROP TRIGGER logs ON users; {LOG_TRIGGER}",
    ),
    "a trigger that is replaced by the same": (
        USERS + LOGS + LOG_TRIGGER,
        LOG_TRIGGER.replace("CREATE", "CREATE OR REPLACE"),
    ),
    "a policy that is re-created as it was": (USERS + POLICY, f"DROP POLICY IF EXISTS own ON users; {POLICY}"),
    "a trigger that fills a column of the row": (USERS, f"{TOUCH} {TRIGGER}"),
    "a trigger that sends a notice": (
        USERS,
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE said text; BEGIN said := NEW.id::text; "
        "IF NEW.id > 1 THEN PERFORM pg_notify('users', said); END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER tell AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION tell();",
    ),
    "a view that is re-created where no migration grants": (USERS + VIEW, f"DROP VIEW names; {VIEW}"),
    "a function that is re-created where no migration grants": (ONE, f"DROP FUNCTION one(int); {ONE}"),
    "a function that clears the way, in a project that never made it": (
        USERS,
        f"DROP FUNCTION IF EXISTS one(int); {ONE}",
    ),
    "a file of two transactions": (
        USERS,
        "BEGIN; CREATE TABLE a (id bigint); COMMIT; BEGIN; CREATE TABLE b (id bigint); COMMIT;",
    ),
    "a ROLLBACK that has nothing to undo": (USERS, "BEGIN; CREATE TABLE a (id bigint); COMMIT; ROLLBACK;"),
}
STILL_SAID = {
    "an UPDATE by a part of a key": ("CREATE TABLE t (a text, b text, c text, PRIMARY KEY (a, b));", "UPDATE t SET c = '' || c WHERE a = 'x'", "update-many-rows"),
    "an UPDATE by a column that is no key": (USERS, "UPDATE users SET mail = 'x' || mail WHERE state = 'x'", "update-many-rows"),
    "an UPDATE by a key or anything": (USERS, "UPDATE users SET state = 'x' WHERE mail = 'a' OR state = 'y'", "update-many-rows"),
    "a trigger that is re-created for other events": (
        USERS + LOGS + LOG_TRIGGER, f"DROP TRIGGER logs ON users; {LOG_TRIGGER.replace('UPDATE', 'DELETE')}", "trigger-on-existing-table",
    ),
    "a trigger that writes elsewhere": (USERS + LOGS, LOG_TRIGGER, "trigger-on-existing-table"),
    "a trigger that may refuse a write": (
        USERS,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id > 5 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER no BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION no();", "trigger-on-existing-table",
    ),
    "a trigger that skips a write": (
        USERS,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER no BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION no();", "trigger-on-existing-table",
    ),
    "a trigger that undoes an UPDATE": (
        USERS,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;"
        "CREATE TRIGGER no BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION no();", "trigger-on-existing-table",
    ),
    "a trigger that puts another row in": (
        USERS,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW := OLD; RETURN NEW; END $$;"
        "CREATE TRIGGER no BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION no();", "trigger-on-existing-table",
    ),
    "a trigger that calls the project's code": (
        USERS + "CREATE FUNCTION later() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()';",
        f"{TOUCH.replace('now()', 'later()')} {TRIGGER}", "trigger-on-existing-table",
    ),
    "a policy that is re-created for more people": (
        USERS + POLICY, f"DROP POLICY own ON users; {POLICY.replace('TO app', 'TO PUBLIC')}", "policy-on-existing-table",
    ),
    "a policy that was altered since": (
        USERS + POLICY + "ALTER POLICY own ON users USING (id = 2);", f"DROP POLICY own ON users; {POLICY}", "policy-on-existing-table",
    ),
    "a view that is re-created where a migration grants": (
        USERS + VIEW + "GRANT SELECT ON names TO app;", f"DROP VIEW names; {VIEW}", "made-again-without-grants",
    ),
    "a function that is re-created where a migration grants on all": (
        ONE + "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;", f"DROP FUNCTION one(int); {ONE}", "made-again-without-grants",
    ),
    "a function of which no migration is known": ("", f"DROP FUNCTION IF EXISTS one(int); {ONE}", "made-again-without-grants"),
    "a statement between two transactions": (
        USERS, "BEGIN; CREATE TABLE a (id bigint); COMMIT; CREATE TABLE c (id int); BEGIN; CREATE TABLE b (id bigint); COMMIT;", "transaction-control",
    ),
    "a ROLLBACK of something": (USERS, "BEGIN; CREATE TABLE a (id bigint); ROLLBACK;", "transaction-control"),
    "a CHECK that is replaced by one that is not checked": (
        USERS + CHECK, f"ALTER TABLE users DROP CONSTRAINT users_state_check; {CHECK.replace(';', ' NOT VALID;')}", "drop-constraint",
    ),
    "a key that gives way to a wider one": (
        USERS, f"{KEY}; ALTER TABLE users ADD CONSTRAINT users_mail_key UNIQUE (mail, state)", "drop-constraint",
    ),
    "a key that gives way to one checked at COMMIT": (
        USERS, f"{KEY}; ALTER TABLE users ADD CONSTRAINT users_mail_key UNIQUE (mail) DEFERRABLE", "drop-constraint",
    ),
    "a constraint that is dropped with what needs it": (
        USERS + CHECK, f"ALTER TABLE users DROP CONSTRAINT users_state_check CASCADE; {CHECK}", "drop-constraint",
    ),
}  # fmt: skip
REPLACED = {
    "a CHECK by one of its name": (USERS + CHECK, f"ALTER TABLE users DROP CONSTRAINT users_state_check; {CHECK}"),
    "a foreign key that cascades from then on": (
        USERS + "CREATE TABLE notes (by bigint REFERENCES users);",
        "ALTER TABLE notes DROP CONSTRAINT notes_by_fkey; ALTER TABLE notes ADD FOREIGN KEY (by) REFERENCES users ON DELETE CASCADE;",
    ),
    "a unique key by the primary key": ("", "ALTER TABLE t DROP CONSTRAINT t_a_key, ADD PRIMARY KEY (a)"),
}


def said_of(applied: str, sql: str) -> dict[str, str]:
    made = review([SourceFile("2.sql", sql)], applied=[SourceFile("1.sql", applied)] if applied else [])
    return {finding.rule: finding.severity.value for finding in made.findings}


@pytest.mark.parametrize(("applied", "sql"), SPARED.values(), ids=SPARED)
def test_everyday_work_does_not_hold_a_file_back(applied: str, sql: str) -> None:
    said = said_of(applied, sql)
    assert set(said.values()) <= {"recommendation"}, said


@pytest.mark.parametrize(("applied", "sql", "rule"), STILL_SAID.values(), ids=STILL_SAID)
def test_what_only_looks_like_it_is_still_said(applied: str, sql: str, rule: str) -> None:
    assert said_of(applied, sql).get(rule) == "caution"


@pytest.mark.parametrize(("applied", "sql"), REPLACED.values(), ids=REPLACED)
def test_a_constraint_that_is_replaced_is_no_lost_one(applied: str, sql: str) -> None:
    assert said_of(applied, sql)["drop-constraint"] == "recommendation"


def test_a_vacuum_of_everything_is_said_of_every_table() -> None:
    (found,) = [one for one in review([SourceFile("m.sql", "VACUUM FULL")]).findings if one.rule == "vacuum-full"]
    assert (found.message, found.safer) == ("writes every table again while reads and writes wait", "VACUUM (ANALYZE);")


def test_a_password_that_is_made_at_run_time_does_not_stand_in_the_file() -> None:
    made = "DO $$ DECLARE p text := current_setting('app.p'); BEGIN EXECUTE 'CREATE USER app PASSWORD ' || quote_literal(p); END $$"
    assert "password-in-file" not in said_of("", made)
    assert said_of("", made.replace("quote_literal(p)", "quote_literal('x')"))["password-in-file"] == "caution"


def test_what_a_function_does_is_said_once_a_file() -> None:
    calls = "SELECT save(1);" * 50
    made = review([SourceFile("2.sql", calls)], applied=[SourceFile("1.sql", USERS + SAVE)])
    assert [finding.rule for finding in made.standing] == ["update-many-rows"]
    assert made.verdict is Verdict.ATTENTION


@pytest.mark.parametrize(
    ("sql", "steps"),
    [
        ("BEGIN; CREATE TABLE a (id int); COMMIT; BEGIN; CREATE TABLE b (id int); COMMIT;", 2),
        ("SET client_encoding = 'UTF8'; BEGIN; CREATE TABLE a (id int); END; ROLLBACK;", 2),
        ("BEGIN; CREATE TABLE a (id int); COMMIT AND CHAIN; COMMIT;", None),
        ("BEGIN; CREATE TABLE a (id int); COMMIT; ROLLBACK; CREATE TABLE b (id int);", None),
    ],
)
def test_a_file_of_several_transactions_is_run_as_one(sql: str, steps: int | None) -> None:
    migration = Migration("1", "a", Path("1_a.sql"), sql, "0")
    if steps is None:
        with pytest.raises(MigrationError, match="manages the transaction"):
            plan_files([migration])
        return
    [file] = plan_files([migration])
    assert (len(file.steps), file.transactional) == (steps, True)
