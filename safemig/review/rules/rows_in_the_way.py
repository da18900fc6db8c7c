"""Rows of the target that make a constraint fail: counted before the review, so that no one learns it in the deployment."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.questions import Question, asked_by
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql.identifiers import quote_identifier

_AT_LEAST = 1000  # where the counting stops


@rule(
    "rows-in-the-way", Severity.CAUTION, "Rows of the target make the statement fail",
    on=("AlterTableStmt", "IndexStmt"),
    why="SET NOT NULL fails on the first NULL, UNIQUE and PRIMARY KEY on the first duplicate; a unique index that is built CONCURRENTLY "
    "is left behind INVALID. The target was asked while it was read for the review.",
    instead="UPDATE users SET email = '' WHERE email IS NULL;  -- in batches, before",
    err=(), ok="ALTER TABLE users ALTER COLUMN email SET NOT NULL",
)  # fmt: skip
def rows_in_the_way(scene: Scene) -> Iterator[Hit]:
    target = scene.world.target
    if target is None or not target.answers or scene.is_new:
        return
    for question in asked_by(scene.node, scene.tree):
        count = target.answers.get(question._replace(table=scene.world.resolve(question.table)), 0)
        if count:
            yield Hit(f"{question.table}.{'.'.join(question.columns)}", _said(question, count), _look(question))


def _said(question: Question, count: int) -> str:
    number = f"{count:,}" if count < _AT_LEAST else f"{_AT_LEAST:,} or more"
    columns = ", ".join(question.columns)
    if question.what == "nulls":
        return f"fails: {number} row{'s' if count != 1 else ''} of {question.table} had NULL in {columns} when the target was read"
    values = "values" if len(question.columns) == 1 else "combinations"
    return f"fails: {number} {values if count != 1 else values[:-1]} of {columns} occurred more than once in {question.table}"


def _look(question: Question) -> str:
    columns = ", ".join(map(quote_identifier, question.columns))
    if question.what == "nulls":
        return f"SELECT count(*) FROM {question.table.sql} WHERE {columns} IS NULL;  -- give these a value first"  # noqa: S608 - text to read
    return (
        f"SELECT {columns}, count(*) FROM {question.table.sql} GROUP BY {columns} HAVING count(*) > 1;  "  # noqa: S608 - the same
        "-- decide which of them stays first"
    )
