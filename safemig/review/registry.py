"""The register of all rules. It imports every module of `rules`; no rule imports it."""

from __future__ import annotations

from types import ModuleType

from safemig.review.rights import RIGHTS_RULES
from safemig.review.rule import Rule
from safemig.review.rules import (
    access,
    columns,
    constraints,
    copying,
    destruction,
    drops,
    enums,
    extensions,
    foreign_keys,
    functions,
    hidden,
    identifiers,
    indexes,
    locking,
    made_again,
    partitions,
    replication,
    restoring,
    retyping,
    rewrites,
    rows,
    sequences,
    server,
    settings,
    tables,
    transactions,
    triggers,
    types,
    unknown,
)

_FAMILIES = (
    access,
    columns,
    constraints,
    copying,
    destruction,
    drops,
    enums,
    extensions,
    foreign_keys,
    functions,
    hidden,
    identifiers,
    indexes,
    locking,
    made_again,
    partitions,
    replication,
    restoring,
    retyping,
    rewrites,
    rows,
    sequences,
    server,
    settings,
    tables,
    transactions,
    triggers,
    types,
    unknown,
)


def _collect(families: tuple[ModuleType, ...]) -> dict[str, Rule]:
    """Return the rules of these modules by name, in the order in which they stand; ValueError for a name used twice."""
    found: dict[str, Rule] = {}
    for family in families:
        for value in vars(family).values():
            if isinstance(value, Rule):
                if value.name in found:
                    raise ValueError(f"two rules are named {value.name}")
                found[value.name] = value
    return found


_RULES = _collect(_FAMILIES)
_BY_NODE: dict[str, list[Rule]] = {}
for _rule in _RULES.values():
    for _node in _rule.on:
        _BY_NODE.setdefault(_node, []).append(_rule)


def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by name."""
    return tuple(_RULES[name] for name in sorted(_RULES))


def rule_named(name: str) -> Rule:
    """Return the rule of that name; KeyError if there is none."""
    return _RULES[name]


def is_known(name: str) -> bool:
    """Tell whether there is a rule of that name, of the review or of what a rehearsal finds about rights."""
    return name in _RULES or name in RIGHTS_RULES


def rules_for(node: str) -> list[Rule]:
    """Return the rules whose checks look at this node."""
    return _BY_NODE.get(node, [])
