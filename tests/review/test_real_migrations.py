"""Migrations and schemas of real applications: each is reviewed or refused with a reason, and nothing that destroys is missed.

They are unpacked from packages (see tests/schema/real); `python benchmarks/review_real.py` prints what was found in them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
import sqlparse
from sqlparse.lexer import tokenize
from sqlparse.tokens import Comment

from safemig.review import Review, Severity, Verdict, review
from safemig.sql import SourceFile
from tests.schema.real import DEBIAN, PYPI, VARIABLE, folder, packages, scripts
from tests.tables import part_of

PACKAGES = [*packages(DEBIAN), *packages(PYPI)]
SLOWEST_S = 20  # on a machine that does other things too; an average file takes a few milliseconds
# An independent reading of what destroys: by words, after sqlparse took the comments away. It knows no nesting, no DO and no names.
_DESTROYS = re.compile(
    r"""(?ix)\A\s*(?:
        drop\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?P<dropped>[\w."]+)
      | truncate\s+(?:table\s+)?(?:only\s+)?(?P<truncated>[\w."]+)
      | delete\s+from\s+(?:only\s+)?(?P<deleted>[\w."]+)
      | alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?P<altered>[\w."]+)\s+drop\s+column\b
    )"""
)
_CREATES = re.compile(
    r"(?ix)\bcreate\s+(?:\w+\s+)*table\s+(?:if\s+not\s+exists\s+)?(?P<table>[\w.\"]+)|\binto\s+temp\w*\s+(?P<temporary>\w+)"
)


def reviewed(name: str, sql: str) -> Review:
    return review([SourceFile(name, sql)])


def destroying(sql: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each statement that destroys what the file did not make, and its table."""
    made: set[str] = set()
    at = 0
    for statement in sqlparse.split(sql):
        at = max(sql.find(statement, at), at)
        bare = "".join(text for kind, text in tokenize(statement) if kind not in Comment)
        if found := _DESTROYS.match(bare):
            table = next(name for name in found.groups() if name)
            if _bare(table) not in made:
                yield sql.count("\n", 0, at) + 1, table
        made |= {_bare(found["table"] or found["temporary"]) for found in _CREATES.finditer(bare)}


def _code(sql: str) -> str:
    return "".join(text for kind, text in tokenize(sql) if kind not in Comment).strip(" ;\n")


def _bare(table: str) -> str:
    return table.replace('"', "").rpartition(".")[2].lower()


@pytest.mark.skipif(folder() is None, reason=f"{VARIABLE} names no folder of unpacked packages")
@pytest.mark.parametrize(
    "package", part_of(PACKAGES, lambda each: each != "ledgersmb", str)
)  # that one takes as long as all others
def test_a_real_application_s_sql_is_reviewed_or_refused_and_nothing_that_destroys_is_missed(package: str) -> None:
    unpacked = folder()
    assert unpacked is not None
    for name, sql in scripts(unpacked / package).items():
        began = time.process_time()
        made = reviewed(name, sql)
        assert time.process_time() - began < SLOWEST_S, name
        refused = [one for one in made.findings if one.rule == "cannot-be-read"]
        assert all(one.message and made.verdict is Verdict.STOP for one in refused), name
        assert refused or made.files[0].statements or not _code(sql), name
        if refused:
            continue  # the whole of it is not to be deployed
        dangers = {_bare(one.object.partition(".")[0]) for one in made.findings if one.severity is Severity.DANGEROUS}
        dangers |= {_bare(one.object) for one in made.findings if one.severity is Severity.DANGEROUS}
        for line, table in destroying(sql):
            assert _bare(table) in dangers, f"{name}, line {line}: {table}"
