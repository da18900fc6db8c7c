"""Owners as far as they can be compared: a role can give an object only to roles that it is a member of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from safemig.schema.model import Schema


def with_owners(base: Schema, target: Schema, may_own: Collection[str]) -> tuple[Schema, Schema, tuple[str, ...]]:
    """Return both schemas with owners compared, and in words what is not: an owner that is none of `may_own`.

    may_own: the roles that the base's `current_user` may make owners.
    """
    base = replace(base, with_ownership=True)
    beyond = set(target.owners.values()) - set(may_own) - {base.current_user}
    if not beyond:
        return base, replace(target, with_ownership=True), ()
    owners = dict(target.owners)
    counted: dict[str, int] = {}
    for item, owner in target.owners.items():
        kept = base.owners.get(item, base.current_user)
        if owner in beyond and owner != kept:
            owners[item] = kept
            counted[owner] = counted.get(owner, 0) + 1
    words = tuple(
        f"owner of {number} object{'' if number == 1 else 's'} not compared: they belong to {owner} there, and "
        f"{base.current_user} may not make {owner} an owner"
        for owner, number in sorted(counted.items())
    )
    return base, replace(target, owners=owners, with_ownership=True), words
