"""No text makes the review fall over, and what it cannot read it never calls safe."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from pglast.parser import ParseError, parse_sql_json

from safemig.review import Verdict, github_report, json_report, review, sarif_report
from safemig.sql import SourceFile

TEXTS = [
    part.partition("\n")[2]
    for path in sorted((Path(__file__).parent / "corpus").glob("*.sql"))
    for part in re.split(r"(?m)^--- ", path.read_text(encoding="utf-8"))[1:]
]
PIECES = ["'", '"', "$$", "(", ")", ";", "--", "/*", "*/", "\\", "\x00", "é", "\ud800", "😀", "\n", ",", "DROP", "TABLE", "DO", "E'", "U&'",
          "$a$", "{{", ":x", "users", ".", "EXECUTE ", "||", "BEGIN", "END", "\ufeff", "1", "NULL", "%s", "USING"]  # fmt: skip


def mutated(chance: random.Random) -> str:
    text = chance.choice(TEXTS)
    if chance.random() < 0.3:
        text += "\n" + chance.choice(TEXTS)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        how = chance.random()
        if how < 0.4:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif how < 0.7:
            text = text[:at] + text[at + chance.randint(1, 6) :]
        else:
            other = chance.choice(TEXTS)
            start = chance.randrange(len(other))
            text = text[:at] + other[start : start + chance.randint(1, 40)] + text[at:]
    return text


@pytest.mark.parametrize("seed", range(20))
def test_mutated_migrations_are_reviewed_and_never_called_safe_unread(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(75):
        text = mutated(chance)
        made = review([SourceFile("m.sql", text)])
        for report in (json_report, sarif_report, github_report):
            report(made)
        assert made.fixed_files
        if not is_readable(text):
            assert made.verdict is Verdict.STOP, text


def is_readable(text: str) -> bool:
    try:
        parse_sql_json(text.removeprefix("\ufeff"))
    except (ParseError, UnicodeEncodeError):
        return False
    return "\x00" not in text


DEEP = [
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + "1+" * 3000 + "1",
    "SELECT " + "f(" * 900 + ")" * 900,
    "DO $$ BEGIN " + "IF true THEN " * 200 + "DELETE FROM users; " + "END IF; " * 200 + "END $$",
    "DO $$ BEGIN EXECUTE " + "'a' || " * 2000 + "'b'; END $$",
    "DO $$ DECLARE q text := 'x'; BEGIN " + "q := q || q; " * 60 + "EXECUTE q; END $$",
    "DO $$ BEGIN EXECUTE repeat('DROP TABLE users;', 1000000); END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT f()'; SELECT f()",
    "CREATE VIEW v AS SELECT * FROM v; SELECT * FROM v",
    "CREATE TABLE t (a int); CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)",
    "PREPARE p AS SELECT 1; EXECUTE p; EXECUTE p",
    ";" * 10000,
    "/*" * 5000,
    "$a$" * 999,
    "INSERT INTO t VALUES " + ", ".join(f"({number}, 'x')" for number in range(20000)),
]


@pytest.mark.parametrize("text", DEEP, ids=[text[:30] for text in DEEP])
def test_deep_wide_and_circular_texts_end(text: str) -> None:
    made = review([SourceFile("m.sql", text)])
    if not is_readable(text):
        assert made.verdict is Verdict.STOP


def test_a_delete_below_two_hundred_ifs_is_found() -> None:
    [finding] = [one for one in review([SourceFile("m.sql", DEEP[3])]).findings if one.rule == "delete-rows"]
    assert finding.data_loss
