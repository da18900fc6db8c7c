"""What of one major version's schema can be asked of another.

MAINTAIN came with PostgreSQL 17, the names of not-null constraints with 18 (and with them comments, NOT VALID).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safemig.schema.kinds import KINDS
from safemig.schema.model import Grant, Id, Schema

_UNNAMED: Mapping[str, Any] = {
    "not_null_name": "",
    "not_null_no_inherit": False,
    "not_null_not_valid": False,
    "not_null_local": True,
}


def within_reach(target: Schema, base: Schema) -> Schema:
    """Return `target` as far as the server of `base` can be asked for it, and has itself a say in it.

    Of what only the newer of the two knows: an older server is asked for none of it, a newer one keeps what it has.
    """
    older, newer = sorted((base.major, target.major))
    beyond = {kind.name for kind in KINDS.values() if older < kind.since // 10000 <= newer}
    if beyond:
        kept = {item: fact for item, fact in target.facts.items() if item[0] not in beyond}
        own = {item: fact for name in beyond for item, fact in base.of_kind(name)}
        target = replace(target, facts=kept | own)
    if older < 18 <= newer:
        target = _without_names(target, base)
    if older < 17 <= newer:
        target = _without_maintain(target, base)
    return target


def _without_names(target: Schema, base: Schema) -> Schema:
    asks = base.server_version_num < target.server_version_num
    facts = dict(target.facts)
    for item, fact in target.facts.items():
        if not getattr(fact, "not_null", False):
            continue
        old = None if asks else base.facts.get(item)
        if asks and getattr(fact, "not_null_not_valid", False):
            facts[item] = fact._replace(not_null=False, **_UNNAMED)
        elif asks or (old is not None and old.not_null):
            said = [name for name in _UNNAMED if hasattr(fact, name)]
            facts[item] = fact._replace(**{name: getattr(old, name, _UNNAMED[name]) for name in said})
    comments = {item: text for item, text in target.comments.items() if KINDS[item.kind].since < 180000}
    if not asks:
        comments |= {item: text for item, text in base.comments.items() if KINDS[item.kind].since >= 180000}
    return replace(target, facts=facts, comments=comments)


def _without_maintain(target: Schema, base: Schema) -> Schema:
    own = {} if base.server_version_num < target.server_version_num else base.grants

    def kept(item: Id) -> frozenset[Grant]:
        plain = frozenset(grant for grant in target.grants.get(item, ()) if grant[1] != "m")
        return plain | frozenset(grant for grant in own.get(item, ()) if grant[1] == "m")

    those = {item for item, grants in own.items() if any(grant[1] == "m" for grant in grants)}
    return replace(target, grants={item: kept(item) for item in those.union(target.grants)})
