"""pg_dump's texts are compared entry by entry."""

from __future__ import annotations

from safemig.schema.dumps import differences, normalise

_HEAD = """--
-- PostgreSQL database dump
--

\\restrict AbC

-- Dumped from database version 17.1
SET statement_timeout = 0;
SET default_tablespace = '';
"""


def _entry(name: str, kind: str, body: str) -> str:
    return f"--\n-- Name: {name}; Type: {kind}; Schema: app; Owner: -\n--\n\n{body}\n\n\n"


_TABLE = _entry("t", "TABLE", "CREATE TABLE app.t (\n    a integer,\n    b text\n);")
_VIEW = _entry("v", "VIEW", "CREATE VIEW app.v AS\n SELECT 1;")
_ACL = _entry("TABLE t", "ACL", "GRANT SELECT ON TABLE app.t TO reader;")


def test_order_and_noise_do_not_count() -> None:
    one = _HEAD + _TABLE + _VIEW + "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict AbC\n"
    other = _HEAD.replace("17.1", "17.2").replace("AbC", "xyz") + _VIEW + _TABLE
    assert differences(one, other) == ()


def test_an_entry_is_headed_by_what_it_is() -> None:
    assert normalise(_HEAD + _TABLE) == ("-- TABLE app.t\nCREATE TABLE app.t (\n    a integer,\n    b text\n);",)


def test_a_missing_grant_is_seen() -> None:
    assert differences(_HEAD + _TABLE, _HEAD + _TABLE + _ACL) == (
        "missing: ACL app.TABLE t\nGRANT SELECT ON TABLE app.t TO reader;",
    )
    assert differences(_HEAD + _TABLE + _ACL, _HEAD + _TABLE)[0].startswith("too much: ACL")


def test_another_line_is_seen() -> None:
    found = differences(_HEAD + _TABLE, _HEAD + _TABLE.replace("b text", "b varchar"))
    assert found == ("different: TABLE app.t\n  -     b text\n  +     b varchar",)


def test_another_order_of_columns_is_called_so() -> None:
    other = _TABLE.replace("    a integer,\n    b text", "    b text,\n    a integer")
    assert differences(_TABLE, other)[0].startswith("in another order: TABLE app.t")


def test_the_body_of_a_function_is_kept_whole() -> None:
    body = "CREATE FUNCTION app.f() RETURNS void\n    LANGUAGE plpgsql\n    AS $$\n--\n-- a comment\n\nBEGIN END $$;"
    changed = body.replace("-- a comment\n\n", "-- a comment\n")
    assert differences(_entry("f()", "FUNCTION", body), _entry("f()", "FUNCTION", changed)) != ()


def test_the_tablespace_that_a_table_is_made_in_counts() -> None:
    assert differences("SET default_tablespace = fast;\n" + _TABLE, _TABLE) == ()
    moved = _entry("a", "SCHEMA", "CREATE SCHEMA a;\nSET default_tablespace = fast;") + _TABLE
    assert differences(moved, _entry("a", "SCHEMA", "CREATE SCHEMA a;") + _TABLE) != ()
