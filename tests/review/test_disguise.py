"""A statement that destroys is found in whatever it is wrapped (hypothesis puts the wrappings together)."""

from __future__ import annotations

import base64
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from safemig.review import Verdict, github_report, json_report, review, sarif_report
from safemig.sql import SourceFile
from tests.tables import examples

DESTROYS = (
    "DROP TABLE users", "DELETE FROM users", "TRUNCATE users", "ALTER TABLE users DROP COLUMN email", "DROP SCHEMA app CASCADE",
    "DELETE FROM users WHERE id = 7", "WITH gone AS (DELETE FROM users RETURNING *) INSERT INTO kept SELECT * FROM gone",
    "MERGE INTO users u USING gone g ON u.id = g.id WHEN MATCHED THEN DELETE", "UPDATE users SET email = NULL",
    "DELETE FROM pg_enum WHERE enumlabel = 'sad'", "DROP TABLE IF EXISTS users, orders CASCADE",
)  # fmt: skip
HARMLESS = ("SELECT 1", "CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY)", "INSERT INTO kinds (name) VALUES ('DROP TABLE users')",
            "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text", "COMMENT ON TABLE users IS 'DELETE FROM users'")  # fmt: skip
BLANKS = (" ", "\n", "\t", "  ", "/**/", "/* DROP /* nested */ */", "-- a remark\n", "\f", "\r\n")


@st.composite
def spelled(draw: st.DrawFn, sql: str) -> str:
    """The same statement with other blanks and other letters' case outside of quotes."""
    words = sql.split(" ")
    made = words[0]
    for word in words[1:]:
        made += draw(st.sampled_from(BLANKS)) + word
    if "'" in sql or "pg_enum" in sql:
        return made
    return "".join(letter.upper() if draw(st.booleans()) else letter.lower() for letter in made)


@st.composite
def as_text(draw: st.DrawFn, sql: str) -> str:
    """An expression of SQL whose value is the statement."""
    quoted = "'" + sql.replace("'", "''") + "'"
    at = draw(st.integers(1, len(sql) - 1))

    def literal(part: str) -> str:
        return "'" + part.replace("'", "''") + "'"

    forms: tuple[Callable[[], str], ...] = (
        lambda: quoted,
        lambda: f"$q${sql}$q$",
        lambda: f"{literal(sql[:at])} || {literal(sql[at:])}",
        lambda: " || ".join(f"chr({ord(letter)})" for letter in sql),
        lambda: "E'" + "".join(f"\\x{ord(letter):02x}" for letter in sql) + "'",
        lambda: "U&'" + "".join(f"\\{ord(letter):04x}" for letter in sql) + "'",
        lambda: f"reverse({literal(sql[::-1])})",
        lambda: f"format('%s%s', {literal(sql[:at])}, {literal(sql[at:])})",
        lambda: f"concat({literal(sql[:at])}, {literal(sql[at:])})",
        lambda: f"concat_ws('', {literal(sql[:at])}, {literal(sql[at:])})",
        lambda: f"convert_from(decode('{sql.encode().hex()}', 'hex'), 'UTF8')",
        lambda: f"convert_from(decode('{base64.b64encode(sql.encode()).decode()}', 'base64'), 'UTF8')",
        lambda: f"replace({literal(sql[:at] + '~' + sql[at:])}, '~', '')",
        lambda: f"coalesce(NULL, {quoted})",
        lambda: f"(SELECT {quoted})",
        lambda: f"CASE WHEN now() IS NULL THEN 'SELECT 1' ELSE {quoted} END",
        lambda: f"substr({literal('xy' + sql)}, 3)",
        lambda: f"trim({literal('  ' + sql + ' ')})",
        lambda: f"array_to_string(ARRAY[{literal(sql[:at])}, {literal(sql[at:])}], '')",
        lambda: f"current_setting({literal('my.' + 'sql')})",
    )
    return draw(st.sampled_from(forms))()


@st.composite
def in_a_body(draw: st.DrawFn, sql: str, depth: int = 0) -> str:
    """A PL/pgSQL statement, with its semicolon, that runs the statement."""
    tag = f"$d{depth}$"
    how = draw(st.integers(0, 8 if depth < 3 else 3))
    if how == 0:
        return f"{sql};"
    if how == 1:
        return f"EXECUTE {draw(as_text(sql))};"
    if how == 2:
        return f"IF now() IS NOT NULL THEN {sql}; END IF;"
    if how == 3:
        return f"BEGIN {sql}; EXCEPTION WHEN others THEN NULL; END;"
    inner = draw(in_a_body(sql, depth + 1))
    if how == 4:
        return f"EXECUTE {tag}DO $i{depth}$ BEGIN {inner} END $i{depth}${tag};"
    if how == 5:
        return f"FOR i IN 1..2 LOOP {inner} END LOOP;"
    if how == 6:
        return f"CASE 1 WHEN 1 THEN {inner} ELSE NULL; END CASE;"
    if how == 7:
        return f"WHILE true LOOP {inner} EXIT; END LOOP;"
    return f"<<b{depth}>> DECLARE x{depth} int := 1; BEGIN {inner} END;"


@st.composite
def hidden(draw: st.DrawFn) -> str:
    """A migration that destroys, one way or another, among statements that do not."""
    sql = draw(spelled(draw(st.sampled_from(DESTROYS))))
    body = draw(in_a_body(sql))
    how = draw(st.integers(0, 9))
    called = "f" + str(draw(st.integers(0, 9)))
    function = f"CREATE FUNCTION {called}() RETURNS int LANGUAGE plpgsql AS $fn$ BEGIN {body} RETURN 1; END $fn$;\n"
    made = {
        0: f"{sql};",
        1: f"DO $do$ BEGIN {body} END $do$;",
        2: f"{function}SELECT {called}();",
        3: f"{function}INSERT INTO kinds (n) SELECT coalesce({called}(), 1);",
        4: f"{function}ALTER TABLE users ADD COLUMN IF NOT EXISTS n int DEFAULT {called}();",
        5: f"{function}CREATE VIEW v AS SELECT {called}() AS n;\nSELECT * FROM v;",
        6: f"CREATE FUNCTION {called}() RETURNS trigger LANGUAGE plpgsql AS $fn$ BEGIN {body} RETURN NEW; END $fn$;\n"
        f"CREATE TRIGGER t AFTER INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION {called}();\nINSERT INTO kinds (n) VALUES (1);",
        7: f"CREATE PROCEDURE {called}() LANGUAGE plpgsql AS $fn$ BEGIN {body} END $fn$;\nCALL {called}();",
        8: f"{function}DO $do$ BEGIN PERFORM {called}(); END $do$;",
        9: f"{function}EXPLAIN (ANALYZE) SELECT {called}();",
    }[how]
    before = draw(st.lists(st.sampled_from(HARMLESS), max_size=2))
    after = draw(st.lists(st.sampled_from(HARMLESS), max_size=2))
    return "".join(f"{one};\n" for one in before) + made + "".join(f"\n{one};" for one in after)


@examples(600)
@given(hidden())
def test_what_destroys_is_dangerous_however_it_is_wrapped(sql: str) -> None:
    made = review([SourceFile("m.sql", sql)])
    assert made.verdict is Verdict.STOP


@examples(300)
@given(st.text(max_size=200), st.sampled_from((*DESTROYS, *HARMLESS)), st.integers(0, 200))
def test_any_text_at_all_is_reviewed(noise: str, sql: str, at: int) -> None:
    made = review([SourceFile("m.sql", sql[:at] + noise + sql[at:])])
    for report in (json_report, sarif_report, github_report):
        report(made)
    assert made.fixed_files


@examples(200)
@given(st.lists(st.sampled_from(HARMLESS), min_size=1, max_size=6), st.data())
def test_what_harms_nothing_is_safe_however_it_is_spelled(statements: list[str], data: st.DataObject) -> None:
    sql = ";\n".join(data.draw(spelled(one)) for one in statements)
    assert review([SourceFile("m.sql", sql)]).verdict is Verdict.SAFE
