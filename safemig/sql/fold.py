"""The text that an expression builds, as far as it can be known without a server.

A dynamic statement is known as a skeleton: its constant text, with a hole wherever a value comes in at run time.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from safemig.sql.identifiers import quote_identifier, quote_literal
from safemig.sql.tree import Tree, constant, is_null, node, strings

HOLE = "safemig_hole"
_MADE_UP = re.compile(rf"""'{HOLE}'|"?{HOLE}(?:_\d+)?"?""")
_LONGEST = 100_000
_MOST_PIECES = 500


@dataclass(frozen=True, slots=True)
class Hole:
    """A value that is known at run time only; `text` may hold any SQL, the others were quoted."""

    kind: Literal["identifier", "literal", "text"] = "text"


Pieces = tuple[str | Hole, ...]
ANYTHING: Pieces = (Hole(),)


def without_holes(text: str) -> str:
    """Return a text with `<name>` for each name, and `<value>` for each literal, that only the run time knows."""
    return _MADE_UP.sub(lambda found: "<value>" if found[0][0] == "'" else "<name>", text) if HOLE in text else text


def fold(expression: Tree | None, variables: Mapping[str, Pieces]) -> Pieces:
    """Return the text of the expression in pieces; what cannot be computed here is a hole."""
    kind, body = node(expression or {})
    if kind == "A_Const":
        return _of_constant(expression)
    if kind == "TypeCast":
        if strings(body.get("typeName", {}).get("names"))[-1:] == ["bytea"]:
            return _bytes(constant(body.get("arg")))
        return fold(body.get("arg"), variables)
    if kind == "ColumnRef":
        return variables.get(".".join(strings(body.get("fields"))).lower(), ANYTHING)
    if kind == "A_Expr" and strings(body.get("name")) == ["||"]:
        return joined(fold(body.get("lexpr"), variables) + fold(body.get("rexpr"), variables))
    if kind == "CollateClause":
        return fold(body.get("arg"), variables)
    if kind == "CoalesceExpr":
        return fold((body.get("args") or [{}])[0], variables)
    if kind == "FuncCall":
        name = strings(body.get("funcname"))[-1:]
        arguments = body.get("args", [])
        if name == ["format"]:
            return _format(arguments, variables)
        folded = [fold(argument, variables) for argument in arguments]
        if name == ["concat"]:
            return joined(tuple(piece for one in folded for piece in one))
        if name in (["quote_ident"], ["quote_literal"], ["quote_nullable"]):
            return _quoted(name[0], folded[0] if folded else ANYTHING)
        if name == ["concat_ws"] and folded:
            parts = [piece for index, one in enumerate(folded[1:]) for piece in ((folded[0] if index else ()) + one)]
            return joined(tuple(parts))
        if name == ["array_to_string"] and len(folded) > 1 and node(arguments[0])[0] == "A_ArrayExpr":
            items = [fold(item, variables) for item in node(arguments[0])[1].get("elements", ())]
            parts = [piece for index, one in enumerate(items) for piece in ((folded[1] if index else ()) + one)]
            return joined(tuple(parts))
        return _computed(name[0] if name else "", folded)
    return ANYTHING


def joined(pieces: Pieces) -> Pieces:
    """Return the pieces with neighbouring texts made one."""
    found: list[str | Hole] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        elif found and piece == Hole() == found[-1]:
            continue  # anything followed by anything is anything
        else:
            found.append(piece)
    if len(found) > _MOST_PIECES or sum(len(piece) for piece in found if isinstance(piece, str)) > _LONGEST:
        return ANYTHING
    return tuple(found)


def plain(pieces: Pieces) -> str | None:
    """Return the text when it is wholly known."""
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(str(piece) for piece in pieces)
    return None


def skeleton(pieces: Pieces) -> str:
    """Return SQL that can be parsed: each hole a made-up name, or a literal where it was quoted as one."""
    parts = []
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            parts.append(piece)
        else:
            parts.append(f"'{HOLE}'" if piece.kind == "literal" else f"{HOLE}_{index}")
    return "".join(parts)


def _of_constant(expression: Tree | None) -> Pieces:
    value = constant(expression)
    if is_null(expression):
        return ANYTHING
    return (str(value).lower(),) if isinstance(value, bool) else (str(value),)


def _quoted(function: str, pieces: Pieces) -> Pieces:
    text = plain(pieces)
    if text is None:
        return (Hole("identifier" if function == "quote_ident" else "literal"),)
    return (quote_identifier(text) if function == "quote_ident" else quote_literal(text),)


_SPECIFIER = re.compile(r"%(?:(?P<position>\d+)\$)?(?:-?\*?\d*)(?P<type>[sIL%])")


def _format(arguments: list[Tree], variables: Mapping[str, Pieces]) -> Pieces:
    template = plain(fold(arguments[0], variables)) if arguments else None
    if template is None:
        return ANYTHING
    values = [fold(argument, variables) for argument in arguments[1:]]
    found: list[str | Hole] = []
    at, following = 0, 0
    for match in _SPECIFIER.finditer(template):
        found.append(template[at : match.start()])
        at = match.end()
        if match["type"] == "%":
            found.append("%")
            continue
        index = int(match["position"]) - 1 if match["position"] else following
        following = index + 1
        value = values[index] if index < len(values) else ANYTHING
        if match["type"] == "s":
            found.extend(value)
        else:
            found.extend(_quoted("quote_ident" if match["type"] == "I" else "quote_literal", value))
    found.append(template[at:])
    return joined(tuple(piece for piece in found if piece != ""))


def _bytes(value: object) -> Pieces:
    if isinstance(value, str) and value.startswith("\\x"):
        try:
            return (bytes.fromhex(value[2:]).decode(),)
        except ValueError:
            return ANYTHING
    return ANYTHING


def _computed(name: str, folded: list[Pieces]) -> Pieces:
    """Return what an immutable function of PostgreSQL makes of constants."""
    values = [plain(one) for one in folded]
    known = [value for value in values if value is not None]
    function = _IMMUTABLE.get(name)
    if function is None or len(known) != len(values) or not known:
        return ANYTHING
    try:
        return (function(known),)
    except (ValueError, IndexError, OverflowError, binascii.Error):
        return ANYTHING


def _decode(values: list[str]) -> str:
    raw = bytes.fromhex(values[0]) if values[1].lower() == "hex" else base64.b64decode(values[0])
    return raw.decode()


def _substring(values: list[str]) -> str:
    begin = int(values[1]) - 1
    end = None if len(values) < 3 else begin + int(values[2])
    return values[0][max(begin, 0) : end]


def _translate(values: list[str]) -> str:
    table = {ord(one): values[2][index] if index < len(values[2]) else None for index, one in enumerate(values[1])}
    return values[0].translate(table)


def _repeat(values: list[str]) -> str:
    count = int(values[1])
    if count * len(values[0]) > _LONGEST:
        raise OverflowError
    return values[0] * count


_IMMUTABLE: dict[str, Callable[[list[str]], str]] = {
    "chr": lambda values: chr(int(values[0])),
    "lower": lambda values: values[0].lower(),
    "upper": lambda values: values[0].upper(),
    "initcap": lambda values: values[0].title(),
    "reverse": lambda values: values[0][::-1],
    "replace": lambda values: values[0].replace(values[1], values[2]),
    "repeat": _repeat,
    "left": lambda values: values[0][: int(values[1])],
    "right": lambda values: values[0][-int(values[1]) :] if int(values[1]) > 0 else "",
    "substr": _substring,
    "substring": _substring,
    "translate": _translate,
    "btrim": lambda values: values[0].strip(values[1] if len(values) > 1 else " "),
    "ltrim": lambda values: values[0].lstrip(values[1] if len(values) > 1 else " "),
    "rtrim": lambda values: values[0].rstrip(values[1] if len(values) > 1 else " "),
    "split_part": lambda values: values[0].split(values[1])[int(values[2]) - 1],
    "decode": _decode,
    "convert_from": lambda values: values[0],
    "lpad": lambda values: values[0].rjust(int(values[1]), (*values[2:], " ")[0])[: int(values[1])],
    "rpad": lambda values: values[0].ljust(int(values[1]), (*values[2:], " ")[0])[: int(values[1])],
}
