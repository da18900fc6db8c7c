"""The register of all rules: it finds every module of `rules` by itself; no rule imports it."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from safemig.review import rules
from safemig.review.rights import REHEARSAL_RULES
from safemig.review.rule import Rule


def _families() -> Iterator[ModuleType]:
    """Yield every module of `rules`, by name."""
    for name in sorted(module.name for module in pkgutil.iter_modules(rules.__path__)):
        yield import_module(f"{rules.__name__}.{name}")


def _collect() -> dict[str, Rule]:
    """Return the rules of all families by name, in the order in which they stand; ValueError for a name used twice."""
    found: dict[str, Rule] = {}
    for family in _families():
        for value in vars(family).values():
            if isinstance(value, Rule):
                if value.name in found:
                    raise ValueError(f"two rules are named {value.name}")
                found[value.name] = value
    return found


_RULES = _collect()
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
    return name in _RULES or name in REHEARSAL_RULES


def rules_for(node: str) -> list[Rule]:
    """Return the rules whose checks look at this node."""
    return _BY_NODE.get(node, [])
