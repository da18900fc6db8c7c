"""psql's harmless commands and the way down of other tools' files are no part of what is reviewed and run."""

from __future__ import annotations

import pytest

from safemig.review import Severity, Verdict, review
from safemig.sql import SourceFile, SqlSyntaxError, parse
from safemig.sql.client_text import for_the_server

TAKEN_OFF = {
    "psql's settings": ("\\set ON_ERROR_STOP on\n\\echo 'begin'\n\\timing\nSELECT 1;\n\\echo done\n", ["SELECT 1"]),
    "what pg_dump writes": ("\\restrict Abc1\n\nSET x.y = 1;\n\n\\unrestrict Abc1\n", ["SET x.y = 1"]),
    "goose": ("-- +goose Up\nCREATE TABLE a (b int);\n-- +goose Down\nDROP TABLE a;\n", ["CREATE TABLE a (b int)"]),
    "dbmate": (
        "-- migrate:up\nCREATE TABLE a (b int);\n\n-- migrate:down\nDROP TABLE a;\n",
        ["CREATE TABLE a (b int)"],
    ),
    "sql-migrate": (
        "-- +migrate Up\nSELECT 1;\n-- +migrate Down\nSELECT 2;\n-- +migrate Up\nSELECT 3;\n",
        ["SELECT 1", "SELECT 3"],
    ),
    "goose's blocks": (
        "-- +goose Up\n-- +goose StatementBegin\nDO $$ BEGIN PERFORM 1; END $$;\n-- +goose StatementEnd\n-- +goose Down\nDROP TABLE a;",
        ["DO $$ BEGIN PERFORM 1; END $$"],
    ),
}
KEPT = {
    "a way down of nothing": "SELECT 1;\n-- migrate:down\nDROP TABLE a;\n",
    "a way up after a statement": "SELECT 1;\n-- migrate:up\nSELECT 2;\n-- migrate:down\nDROP TABLE a;\n",
    "words in a string": "SELECT '\n\\echo a\n-- migrate:up\n-- migrate:down\n', 'DROP';\n",
    "a body": "DO $$ BEGIN\n-- migrate:up\n-- migrate:down\nDELETE FROM users;\nEND $$;\n",
}
REFUSED = [
    "\\! rm -rf x\n", "\\i other.sql\n", "\\connect shop\n", "\\c shop\n", "\\set who `whoami`\n", "\\set name users\nDROP TABLE :name;\n",
    "\\echo `rm x`\n", "SELECT 1 \\echo a\n;", "\\gexec\n", "\\copy users FROM 'x'\n",
]  # fmt: skip

# What is found in an extension's script besides that it is one, and where the first sign of that stands.
EXTENSION_SCRIPTS = [
    ('\\echo Use "CREATE EXTENSION x" to load this file. \\quit\nDROP TABLE t;', (1, 1), ["drop-table t"]),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';", (1, 47), []),
    ("SELECT 1;\nDROP TABLE @extschema@.t;", (2, 12), ["drop-table @extschema@.t"]),
    ("DROP TABLE @extschema:other@.t;", (1, 12), ["drop-table @extschema:other@.t"]),
    ("DO $$ BEGIN DELETE FROM @extschema@.t; END $$;", (1, 25), ["delete-rows @extschema@.t"]),
    ("CREATE TABLE t (a int); DROP TABLE @extschema@.t;", (1, 36), []),
    ("ALTER TABLE t OWNER TO @extowner@;", (1, 24), ["owner-change t"]),
]
NO_EXTENSION_SCRIPTS = [
    "SELECT '@extschema@', 'MODULE_PATHNAME is a word', '\\quit';",
    "-- @extschema@\nSELECT 1;",
    "SELECT $$\\quit$$;",
]


@pytest.mark.parametrize(("sql", "place", "also"), EXTENSION_SCRIPTS)
def test_an_extension_s_script_is_reviewed_but_never_run(sql: str, place: tuple[int, int], also: list[str]) -> None:
    found = review([SourceFile("m.sql", sql)]).findings
    first = [one for one in found if one.rule == "cannot-be-read"]
    assert [(one.line, one.column) for one in first] == [place]
    assert [
        f"{one.rule} {one.object}" for one in found if one not in first and one.severity is not Severity.RECOMMENDATION
    ] == also
    with pytest.raises(SqlSyntaxError, match="CREATE EXTENSION alone"):
        parse(sql)


@pytest.mark.parametrize("sql", NO_EXTENSION_SCRIPTS)
def test_words_of_an_extension_s_script_in_a_text_do_not_make_one(sql: str) -> None:
    assert len(parse(sql)) == 1


@pytest.mark.parametrize("name", TAKEN_OFF)
def test_what_speaks_to_a_client_is_taken_off(name: str) -> None:
    sql, statements = TAKEN_OFF[name]
    assert [one.sql for one in parse(sql)] == statements
    blanked = for_the_server(sql)
    assert (len(blanked), blanked.count("\n")) == (len(sql), sql.count("\n"))
    for one in parse(sql):
        assert sql[one.start :].startswith(one.sql)
        assert sql.split("\n")[one.line - 1].startswith(one.sql.split("\n")[0])


@pytest.mark.parametrize("name", KEPT)
def test_all_else_stays(name: str) -> None:
    assert for_the_server(KEPT[name]) == KEPT[name]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_could_do_something_else_is_refused(sql: str) -> None:
    with pytest.raises(SqlSyntaxError):
        parse(sql)


WRAPPED = [
    ("BEGIN;\nCREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY);\nCOMMIT;\n", Verdict.SAFE),
    (
        "SET lock_timeout = '2s';\nSTART TRANSACTION;\nCREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY);\nEND;\n",
        Verdict.SAFE,
    ),
    ("BEGIN;\nSELECT 1;\nROLLBACK;\n", Verdict.ATTENTION),
    ("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;\n", Verdict.ATTENTION),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;\n", Verdict.ATTENTION),
    ("BEGIN;\nSAVEPOINT a;\nCOMMIT;\n", Verdict.ATTENTION),
]


@pytest.mark.parametrize(("sql", "verdict"), WRAPPED)
def test_a_transaction_around_the_whole_file_is_one_recommendation(sql: str, verdict: Verdict) -> None:
    made = review([SourceFile("m.sql", sql)])
    assert made.verdict is verdict
    if verdict is Verdict.SAFE:
        found = [one for one in made.findings if one.rule == "transaction-control"]
        assert [one.severity for one in found] == [Severity.RECOMMENDATION]
