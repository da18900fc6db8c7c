"""A statement of one long line is broken at its clauses, and nothing but white space changes."""

from __future__ import annotations

import pglast
import pytest

from safemig.views.sql_layout import lines_of

LONG = (
    "SELECT u.id, u.email, count(o.id) AS orders FROM users u LEFT JOIN orders o ON o.user_id = u.id"
    " WHERE u.email = $1 AND note <> 'two  spaces; -- and no comment' GROUP BY u.id ORDER BY orders DESC LIMIT $2"
)


def test_a_long_line_is_broken_at_its_clauses() -> None:
    starts = [line.split()[0] for line in lines_of(LONG) if not line.startswith(" ")]
    assert starts == ["SELECT", "FROM", "LEFT", "WHERE", "GROUP", "ORDER", "LIMIT"]


@pytest.mark.parametrize(
    "sql",
    [
        LONG,
        "INSERT INTO orders (user_id, total, note) VALUES ($1, $2, E'it''s \\' $$ ' || $tag$ a  b $tag$) ON CONFLICT DO NOTHING RETURNING *",
        "UPDATE users SET email = lower(email), name = trim(name) WHERE id BETWEEN $1 AND $2 AND email <> lower(email)",
        "WITH gone AS (DELETE FROM \"Odd  table\" WHERE id = ANY($1) RETURNING *) INSERT INTO archive SELECT * FROM gone WHERE a->>'b' = $2",
        "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END, x::numeric(10, 2), ARRAY[1,2], /* hint  kept */ t.* FROM only t AS t (a, b)",
    ],
)
def test_the_statement_stays_the_same(sql: str) -> None:
    laid_out = "\n".join(lines_of(sql))
    assert "\n" in laid_out
    assert pglast.parser.fingerprint(laid_out) == pglast.parser.fingerprint(sql)
    assert "".join(laid_out.split()) == "".join(sql.split())


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "SELECT a,\n  b FROM t", "CREATE TABLE t (" + ", ".join(f"c{n} int" for n in range(40)) + ")",
     "SELECT " + ", ".join(f"c{n}" for n in range(2_000))],
)  # fmt: skip
def test_what_is_short_laid_out_no_dml_or_too_long_is_left_alone(sql: str) -> None:
    assert "\n".join(lines_of(sql)) == sql
