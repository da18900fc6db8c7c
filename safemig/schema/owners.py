"""Owners as far as they can be compared: a role can give an object only to roles that it is a member of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from safemig.schema.model import Schema

_NAMED = 20  # objects of each owner


def with_owners(base: Schema, target: Schema, may_own: Collection[str]) -> tuple[Schema, Schema, tuple[str, ...]]:
    """Return both schemas with owners compared, and in words what is not: an owner that is none of `may_own`.

    may_own: the roles that the base's `current_user` may make owners.
    """
    base = replace(base, with_ownership=True)
    beyond = set(target.owners.values()) - set(may_own) - {base.current_user}
    if not beyond:
        return base, replace(target, with_ownership=True), ()
    owners = dict(target.owners)
    named: dict[str, list[str]] = {}
    for item, owner in target.owners.items():
        kept = base.owners.get(item, base.current_user)
        if owner in beyond and owner != kept:
            owners[item] = kept
            named.setdefault(owner, []).append(item.dotted)
    words = tuple(
        f"owner not compared of {_listed(items)}: it is {owner}, whom {base.current_user} may not make an owner"
        for owner, items in sorted(named.items())
    )
    return base, replace(target, owners=owners, with_ownership=True), words


def _listed(items: list[str]) -> str:
    first = ", ".join(sorted(items)[:_NAMED])
    return first if len(items) <= _NAMED else f"{first} and {len(items) - _NAMED} more"
