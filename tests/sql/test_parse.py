"""Statements keep their exact text and place; what is not SQL for the server is refused with the reason."""

from __future__ import annotations

import pytest
from pglast.parser import get_postgresql_version

from safemig.review import review
from safemig.sql import SourceFile, SqlSyntaxError, parse
from safemig.sql.foreign import PARSER_MAJOR

TEXT = "-- é first\n\n/* a */ SELECT 'é;';  -- b\n  DELETE FROM t -- tail\n;;\nALTER TABLE x\n  ADD COLUMN é int,\n  DROP b;\n-- end"


def test_statements_have_their_text_and_place() -> None:
    found = [(one.line, one.column, one.end_line, one.sql) for one in parse(TEXT)]
    assert found == [
        (3, 9, 3, "SELECT 'é;'"),
        (4, 3, 4, "DELETE FROM t"),
        (6, 1, 8, "ALTER TABLE x\n  ADD COLUMN é int,\n  DROP b"),
    ]


def test_each_statement_begins_at_its_offset() -> None:
    for statement in parse(TEXT):
        assert TEXT[statement.start :].startswith(statement.sql)


def test_a_statement_gives_its_pglast_node() -> None:
    [statement] = parse("-- x\nDROP TABLE a")
    assert type(statement.node).__name__ == "DropStmt"


KINDS = [
    ("CREATE TABLE t (a int)", "CREATE TABLE", ("t",), True),
    ("ALTER TABLE app.t ADD COLUMN b int", "ALTER TABLE … ADD COLUMN", ("app.t",), True),
    ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "ALTER TABLE … ADD FOREIGN KEY", ("t", "u"), True),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE UNIQUE INDEX CONCURRENTLY", ("t",), False),
    ("DROP INDEX CONCURRENTLY i", "DROP INDEX CONCURRENTLY", (), False),
    ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "SELECT", ("a",), True),
    ("DROP TABLE a, s.b", "DROP TABLE", ("a", "s.b"), True),
    ("VACUUM t", "VACUUM", ("t",), False),
    ("REINDEX TABLE CONCURRENTLY t", "REINDEX", ("t",), False),
    ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "ALTER TABLE … DETACH PARTITION", ("t", "p"), False),
    ("ALTER TYPE e ADD VALUE 'x'", "ALTER TYPE … ADD VALUE", (), True),
    ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE OR REPLACE FUNCTION", (), True),
    ("CREATE DATABASE d", "CREATE DATABASE", (), False),
    ("ALTER SYSTEM SET work_mem = '1MB'", "ALTER SYSTEM", (), False),
]


@pytest.mark.parametrize(("sql", "kind", "tables", "transactional"), KINDS, ids=[row[0][:40] for row in KINDS])
def test_a_statement_says_what_it_is(sql: str, kind: str, tables: tuple[str, ...], transactional: bool) -> None:
    [statement] = parse(sql)
    assert (statement.kind, statement.tables, statement.transactional) == (kind, tables, transactional)


@pytest.mark.parametrize("sql", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "START TRANSACTION"])
def test_transaction_control_is_known(sql: str) -> None:
    [statement] = parse(sql)
    assert statement.is_transaction_control


UNREADABLE = [
    ("SELECT 1;\n\\set who users\n", 2, 1, "\\set is a command of psql"),
    ("SELECT 1 \\gexec", 1, 10, "\\gexec is a command of psql"),
    ("COPY t FROM stdin;\n1\t2\n", 1, 1, "end"),
    ("SELECT {{ x }}", 1, 8, "template"),
    ("SELECT * FROM t WHERE é = :name", 1, 27, "psql variable"),
    ("DROP TABLE `a`", 1, 12, "MySQL"),
    ("SELECT 'a", 1, 8, "unterminated quoted string"),
    ("SELECT 1; DROP TABLE x\0y", 1, 23, "zero byte"),
    ("CREATE TABEL x (a int)", 1, 8, "syntax error"),
    ("SELECT " + "1+" * 30000 + "1", 1, 1, ""),
    ("SELECT '\ud800'", 1, 9, "Unicode"),
]


@pytest.mark.parametrize(
    ("sql", "line", "column", "reason"), UNREADABLE, ids=[row[3] or "too deep" for row in UNREADABLE]
)
def test_what_is_not_sql_is_refused_with_its_place(sql: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(sql)
    assert reason in caught.value.reason
    assert (caught.value.line, caught.value.column) == (line, column)


NEW_IN_19 = [
    ("SELECT 1;\nREPACK (CONCURRENTLY) users;", "REPACK is not known to this version's parser (PostgreSQL 18)"),
    ("ALTER TABLE p MERGE PARTITIONS (a, b) INTO c", "ALTER TABLE P MERGE PARTITIONS is not known"),
    (
        "-- why\nALTER TABLE IF EXISTS p SPLIT PARTITION a INTO (PARTITION b FOR VALUES IN (1))",
        "SPLIT PARTITION is not known",
    ),
    ("WAIT FOR LSN '0/1'", "WAIT FOR LSN is not known"),
    ("CREATE PROPERTY GRAPH g VERTEX TABLES (a)", "CREATE PROPERTY GRAPH is not known"),
    ("SELECT a, sum(b) FROM t GROUP BY ALL", "GROUP BY ALL is not known"),
]


@pytest.mark.parametrize(("sql", "reason"), NEW_IN_19)
def test_what_came_with_postgresql_19_is_newer_than_the_parser(sql: str, reason: str) -> None:
    with pytest.raises(SqlSyntaxError) as caught:
        parse(sql)
    assert reason in caught.value.reason
    found = review([SourceFile("m.sql", sql)]).findings[-1]
    assert (found.rule, found.title) == ("cannot-be-read", "The statement is newer than the parser")


def test_the_parser_still_has_the_grammar_that_its_messages_name() -> None:
    assert get_postgresql_version()[0] == PARSER_MAJOR, (
        "pglast has a newer grammar: take the statements of 19 out of foreign.py"
    )


def test_a_byte_order_mark_is_skipped() -> None:
    [statement] = parse("\ufeffSELECT 1")
    assert statement.sql == "SELECT 1"


@pytest.mark.parametrize("sql", ["", "  \n", ";;", "-- only a comment", "/* a /* nested */ comment */"])
def test_a_text_without_statements_has_none(sql: str) -> None:
    assert parse(sql) == []
