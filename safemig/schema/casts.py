"""What ALTER COLUMN TYPE does to the values: nothing, a rewrite, or a loss.

Seen on PostgreSQL 15 to 17 (see the hazards table, "alter-type"): widening a varchar or a numeric's precision, and
anything to text from varchar, changes the catalog only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TYPE = re.compile(
    r"(?P<name>[^()\[\]]+?)\s*(?:\((?P<first>\d+)(?:,(?P<second>-?\d+))?\))?(?P<rest>[^()\[\]]*)(?P<array>(?:\[\])*)\Z"
)

_INTEGERS = {"smallint": 1, "integer": 2, "bigint": 3}
_TEXTS = {"text", "character varying"}
# Pairs that an assignment cast converts without losing anything.
_WIDENING = {
    ("smallint", "integer"),
    ("smallint", "bigint"),
    ("integer", "bigint"),
    ("smallint", "numeric"),
    ("integer", "numeric"),
    ("bigint", "numeric"),
    ("real", "double precision"),
    ("smallint", "real"),
    ("smallint", "double precision"),
    ("integer", "double precision"),
    ("date", "timestamp without time zone"),
    ("cidr", "inet"),
    ("json", "jsonb"),
    ("jsonb", "json"),
    ("macaddr", "macaddr8"),
    ("name", "text"),
    ("character", "text"),
}
_ASSIGNABLE = {
    *_WIDENING,
    ("bigint", "integer"),
    ("bigint", "smallint"),
    ("integer", "smallint"),
    ("numeric", "bigint"),
    ("numeric", "integer"),
    ("numeric", "smallint"),
    ("numeric", "real"),
    ("numeric", "double precision"),
    ("double precision", "real"),
    ("double precision", "numeric"),
    ("real", "numeric"),
    ("double precision", "bigint"),
    ("double precision", "integer"),
    ("double precision", "smallint"),
    ("real", "bigint"),
    ("real", "integer"),
    ("real", "smallint"),
    ("bigint", "real"),
    ("bigint", "double precision"),
    ("integer", "real"),
    ("timestamp without time zone", "date"),
    ("timestamp with time zone", "date"),
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp with time zone", "timestamp without time zone"),
    ("timestamp without time zone", "time without time zone"),
    ("timestamp with time zone", "time without time zone"),
    ("timestamp with time zone", "time with time zone"),
    ("date", "timestamp with time zone"),
    ("time without time zone", "interval"),
    ("time without time zone", "time with time zone"),
    ("time with time zone", "time without time zone"),
    ("interval", "time without time zone"),
    ("inet", "cidr"),
    ("numeric", "money"),
    ("money", "numeric"),
    ("integer", "money"),
    ("bigint", "money"),
}
_ROUNDING = {
    ("numeric", "bigint"),
    ("numeric", "integer"),
    ("numeric", "smallint"),
    ("numeric", "real"),
    ("numeric", "double precision"),
    ("double precision", "real"),
    ("double precision", "numeric"),
    ("real", "numeric"),
    ("double precision", "bigint"),
    ("double precision", "integer"),
    ("double precision", "smallint"),
    ("real", "bigint"),
    ("real", "integer"),
    ("real", "smallint"),
    ("timestamp without time zone", "date"),
    ("timestamp with time zone", "date"),
    ("bigint", "real"),
    ("integer", "real"),
    ("bigint", "double precision"),
    ("inet", "cidr"),
    ("numeric", "money"),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """How values get from one type to another; `using` holds {column} and {type} where an expression is needed."""

    lossy: bool
    rewrites: bool
    why: str
    using: str | None = None


def conversion(old: str, new: str) -> Conversion:
    """Return what `ALTER COLUMN TYPE` from `old` to `new` (as `format_type` writes them) does to the values."""
    before, after = _TYPE.match(old), _TYPE.match(new)
    if before is None or after is None or before["array"] or after["array"]:
        return Conversion(
            True,
            True,
            "every value is converted, and may not survive it",
            "{column}::text::{type}" if old != new else None,
        )
    one, other = _base(before), _base(after)
    pair = (one, other)
    if one == other or (one in _TEXTS and other in _TEXTS):
        return _modifier(one, before, after)
    if pair in _WIDENING:
        return Conversion(
            False,
            pair != ("cidr", "inet"),
            "every row is rewritten" if pair != ("cidr", "inet") else "the catalog only",
            "{column}::{type}" if "json" in one else None,
        )
    if pair == ("timestamp without time zone", "timestamp with time zone"):
        return Conversion(
            False, True, "every value is read as of the session's time zone, and rewritten unless that is UTC"
        )
    if _INTEGERS.get(one, 9) > _INTEGERS.get(other, 9) and other in _INTEGERS and one in _INTEGERS:
        return Conversion(False, True, "every row is rewritten; fails where a number is too large")
    if pair in _ASSIGNABLE:
        lossy = pair in _ROUNDING or "timestamp" in one or "time" in one
        return Conversion(lossy, True, "values are rounded or cut off" if lossy else "every row is rewritten")
    if other in _TEXTS:
        if after["first"]:
            return Conversion(False, True, "every row is rewritten; fails where a value is too long")
        return Conversion(False, True, "every row is rewritten as text")
    return Conversion(
        True, True, "every value is converted by way of its text, and may not survive it", _through_text(one)
    )


def _through_text(one: str) -> str:
    return "{column}::{type}" if one in _TEXTS or one == "character" else "{column}::text::{type}"


def _base(match: re.Match[str]) -> str:
    return (match["name"] + match["rest"]).strip()


def _modifier(one: str, before: re.Match[str], after: re.Match[str]) -> Conversion:
    free = Conversion(False, False, "the catalog only, no row is touched")
    if one == "numeric":
        if not after["first"]:
            return free
        if not before["first"]:
            return Conversion(True, True, "values are rounded to the new scale")
        scale_before, scale_after = int(before["second"] or 0), int(after["second"] or 0)
        whole_before, whole_after = int(before["first"]) - scale_before, int(after["first"]) - scale_after
        if scale_after == scale_before and whole_after >= whole_before:
            return free
        if scale_after < scale_before:
            return Conversion(True, True, "values are rounded to the new scale")
        fails = "; fails where a number is too large" if whole_after < whole_before else ""
        return Conversion(False, True, f"every row is rewritten{fails}")
    if not after["first"]:
        return free
    if not before["first"] or int(after["first"]) < int(before["first"]):
        if "time" in one or one == "interval":
            return Conversion(True, True, "fractions of a second are rounded")
        if "bit" in one:
            return Conversion(True, True, "values may be cut off")
        return Conversion(False, True, "every row is read and rewritten; fails where a value is too long")
    if one in ("character", "bit"):
        return Conversion(False, True, "every row is rewritten")
    return free
