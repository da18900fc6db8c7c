"""A long text cut into what must be read as a whole and plain rows, of which those that are alike are read once.

A dump's `INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y');` holds a name, columns and literals: nothing that its first
row does not tell. As trees such rows take seventy times the memory of their text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pglast.parser import ParseError, split

from safemig.sql.clauses import tokens

LONG = 256 * 1024  # characters; below, a text is read as a whole
_PORTION = 1024 * 1024

_NOTHING = re.compile(r"[ \t\r\n\f\v;]*+")
# Possessive throughout, so that what does not match is told in one pass. A literal's own backslashes are characters,
# as the parser takes them; what has a cast, a call, an operator or a comment in it is read as a whole.
_NAME = r'(?:[a-zA-Z_]\w*+|"[^"]++")'
_LITERAL = r"(?:'[^']*+(?:''[^']*+)*+'|[+-]?\d++(?:\.\d++)?+|null\b|true\b|false\b|default\b)"
_ROW = rf"\(\s*+{_LITERAL}(?:\s*+,\s*+{_LITERAL})*+\s*+\)"
_PLAIN_ROWS = re.compile(
    rf"(?P<shape>insert\s++into\s++{_NAME}(?:\.{_NAME})?+\s*+(?:\((?:\s*+{_NAME}\s*+,)*+\s*+{_NAME}\s*+\)\s*+)?+values\s*+)"
    rf"(?P<row>{_ROW})(?:\s*+,\s*+{_ROW})*+\s*+(?P<rest>(?:on\s++conflict\s++do\s++nothing\s*+)?+)",
    re.IGNORECASE | re.ASCII,
)


def portions(sql: str) -> Iterator[tuple[int, int, re.Match[str] | None]]:
    """Yield where each portion of a long text begins and ends, in order: one INSERT of plain rows, or some statements.

    With the match, it is an INSERT of plain rows. Two whose groups `shape` and `rest` are the same differ in nothing
    but their literals, and the three groups joined are the INSERT of the first row alone.

    Guarantee: between the portions there are blanks, comments and semicolons only.

    Raises:
        ParseError: PostgreSQL's scanner cannot part the text.
    """
    begin, end = -1, -1  # of the statements that wait to be yielded together
    last = 0
    for each in (*split(sql, with_parser=False, only_slices=True), slice(len(sql), len(sql))):
        if not _NOTHING.fullmatch(sql, last, each.start) and any(
            token.kind != "comment" and sql[token.start] != ";" for token in tokens(sql[last : each.start])
        ):
            raise ParseError("the scanner left something out", last)
        last = each.stop
        plain = _PLAIN_ROWS.fullmatch(sql, each.start, each.stop)
        if begin >= 0 and (plain or each.stop - begin > _PORTION):
            yield begin, end, None
            begin = -1
        if plain:
            yield each.start, each.stop, plain
        elif each.start < each.stop:
            begin, end = each.start if begin < 0 else begin, each.stop
    if begin >= 0:
        yield begin, end, None
