"""Tell whether two partitions could not stand beside each other, from the words of their bounds."""

from __future__ import annotations

import re

_RANGE = re.compile(r"FOR VALUES FROM \((?P<low>.*)\) TO \((?P<high>.*)\)\Z", re.DOTALL)
_LIST = re.compile(r"FOR VALUES IN \((?P<values>.*)\)\Z", re.DOTALL)
_LITERAL = re.compile(r"'((?:[^']|'')*)'|([^,\s']+)")


def may_overlap(one: str, other: str) -> bool:
    """Return False only when the two bounds surely leave each other alone."""
    if "DEFAULT" in (one, other):
        return one == other
    lists = _LIST.match(one), _LIST.match(other)
    if lists[0] and lists[1]:
        return bool(set(_literals(lists[0]["values"])) & set(_literals(lists[1]["values"])))
    ranges = _RANGE.match(one), _RANGE.match(other)
    if ranges[0] and ranges[1]:
        low, high = _literals(ranges[0]["low"]), _literals(ranges[0]["high"])
        other_low, other_high = _literals(ranges[1]["low"]), _literals(ranges[1]["high"])
        return _less(low, other_high) and _less(other_low, high)
    return True


def _literals(text: str) -> list[str]:
    return [quoted if quoted else plain for quoted, plain in _LITERAL.findall(text)]


def _less(one: list[str], other: list[str]) -> bool:
    """Compare the first parts that differ, as numbers where both are; MINVALUE and MAXVALUE are the ends."""
    for mine, yours in zip(one, other, strict=False):
        if mine == yours:
            continue
        if mine == "MINVALUE" or yours == "MAXVALUE":
            return True
        if mine == "MAXVALUE" or yours == "MINVALUE":
            return False
        try:
            return float(mine) < float(yours)
        except ValueError:
            return mine < yours
    return False
