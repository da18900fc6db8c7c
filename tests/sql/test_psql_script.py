"""What psql understands and a server does not: a table of scripts and what is left of each."""

from __future__ import annotations

import pytest

from safemig.sql import SqlSyntaxError
from safemig.sql.psql_script import Piece, is_psql_script, read_psql_script

BODY = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $x$\nBEGIN;\n\\not a command\nCOMMIT; END $x$;"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("CREATE TABLE t ();", [("statements", 1, "CREATE TABLE t ();", "")]),
        ("BEGIN;\nCREATE TABLE t ();\nCOMMIT;\n", [("statements", 1, "CREATE TABLE t ();", "")]),
        ("start transaction ;\n-- why\nCREATE TABLE t ();\nEND;", [("statements", 1, "-- why\nCREATE TABLE t ();", "")]),
        ("\\restrict abc\n\\set ON_ERROR_STOP 1\n\\echo 'it''s'\nSELECT 1;\n\\unrestrict abc\n", [("statements", 1, "SELECT 1;", "")]),
        (BODY, [("statements", 1, BODY, "")]),
        ("SELECT ';\n\\x';", [("statements", 1, "SELECT ';\n\\x';", "")]),
        ("/* a; /* b; */ \n\\i x */ SELECT 1;", [("statements", 1, "/* a; /* b; */ \n\\i x */ SELECT 1;", "")]),
        ("CREATE TABLE t (a int);\nCOPY t (a) FROM stdin;\n1\n\\N\n\\.\nSELECT 1;", [
            ("statements", 1, "CREATE TABLE t (a int);", ""), ("copy", 2, "COPY t (a) FROM stdin", "1\n\\N\n"), ("statements", 5, "SELECT 1;", ""),
        ]),
        ("COPY t FROM stdin;\n\\.\n", [("copy", 1, "COPY t FROM stdin", "")]),
    ],
)  # fmt: skip
def test_a_script_is_cut_into_what_a_server_runs(text: str, pieces: list[tuple[str, int, str, str]]) -> None:
    assert [(each.kind, each.line, each.sql.strip(), each.data) for each in read_psql_script(text)] == pieces


def test_a_line_keeps_its_number() -> None:
    (piece,) = read_psql_script("BEGIN;\n\n\\echo x\nCREATE TABLE t ();")
    assert piece.sql.split("\n").index("CREATE TABLE t ();") == 3


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("SELECT 1;\n\\i other.sql\n", r"psql's command \\i is not run here", 2),
        ("\\! rm -rf x\n", r"psql's command \\! is not run here", 1),
        ("SELECT 1;\n\\gexec\n", "gexec", 2),
        ("COPY t FROM stdin;\n1\n", r"has no line \\\. at its end", 1),
    ],
)
def test_what_does_something_is_refused_by_its_line(text: str, reason: str, line: int) -> None:
    with pytest.raises(SqlSyntaxError, match=reason) as refused:
        read_psql_script(text)
    assert refused.value.line == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE TABLE t ();", False),
        ("-- begin;\nCREATE TABLE begin_ ();", False),
        ("begin;\nCREATE TABLE t ();", True),
        ("SELECT 1; COMMIT;", True),
        ("  \\restrict x\n", True),
        ("COPY t FROM STDIN;", True),
    ],
)
def test_only_what_may_be_one_is_read_as_a_script(text: str, expected: bool) -> None:
    assert is_psql_script(text) == expected


def test_a_piece_is_a_fact() -> None:
    assert Piece("copy", 1, "COPY t FROM stdin", "1\n").data == "1\n"
