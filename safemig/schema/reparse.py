"""Words that the server would not read back as it wrote them, said so that it does. Seen on PostgreSQL 13 to 18.

Each of these means the same either way, but would come out in another form, so that a second comparison would differ:

- `status IN ('a', 'b')` over a varchar column is an array of varchar that is cast to text[] as a whole. The server
  writes `ANY ((ARRAY['a'::character varying])::text[])`, and reads that as an array of texts, each cast by itself.
- `x BETWEEN 1 AND 5 AND y` is an AND within an AND. The server writes `(((x >= 1) AND (x <= 5)) AND y)`, and reads that
  as one AND of three. The same goes for NOT BETWEEN and OR.
"""

from __future__ import annotations

import re

_ELEMENT = r"E?'(?:[^']|'')*'::character varying"
_CAST_ARRAY = re.compile(rf"\b(ANY|ALL) \(\((ARRAY\[{_ELEMENT}(?:, {_ELEMENT})*\])\)::text\[\]\)")
_TOKEN = re.compile(r"""E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|[^()'"E]+|E""", re.DOTALL)
_BETWEEN = ((" AND ", " >= ", " <= ", "BETWEEN"), (" OR ", " < ", " > ", "NOT BETWEEN"))


def readable(expression: str) -> str:
    """Return SQL of the server's own making so that reading it gives what was written."""
    if ")::text[])" in expression:
        expression = _CAST_ARRAY.sub(r"\1 (\2)", expression)
    if ")) AND " in expression or ")) OR " in expression:
        expression = _with_between(expression)
    return expression


def _with_between(text: str) -> str:
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        return text  # not what the server writes: left as it is
    levels: list[list[str]] = [[]]
    for place, part in enumerate(tokens):
        if part == "(":
            levels.append([])
        elif part == ")" and len(levels) > 1:
            inner = levels.pop()
            follows = tokens[place + 1] if place + 1 < len(tokens) else ""
            said = None if levels[-1] or len(levels) == 1 else _between(inner, follows)
            levels[-1].append(said or f"({''.join(inner)})")
        else:
            levels[-1].append(part)
    return "(".join("".join(level) for level in levels)


def _between(parts: list[str], follows: str) -> str | None:
    """Return the first operand of an AND or OR as BETWEEN, where its `parts` are the two halves of one."""
    if len(parts) != 3:
        return None
    first, word, second = parts
    for joins, low, high, between in _BETWEEN:
        if word != joins or not follows.startswith(joins):
            continue
        what, sign, least = first[1:-1].partition(low)
        if sign and second.startswith(f"({what}{high}"):
            most = second[1:-1].removeprefix(f"{what}{high}")
            return f"({what} {between} ({least}) AND ({most}))"
    return None
