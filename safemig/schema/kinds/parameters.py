"""Privileges on parameters (GRANT SET ON PARAMETER, PostgreSQL 15): who may set what only superusers could."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from safemig.schema.grants import changes
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.model import Grant, Id
from safemig.sql.identifiers import quote_name

if TYPE_CHECKING:
    from safemig.schema.plan import Plan

# The letters are those of aclitem. What the superuser of initdb (10) has by itself says nothing.
PRIVILEGES_ON_PARAMETERS = """
SELECT p.parname, array_agg(ARRAY[coalesce(r.rolname, ''), CASE e.privilege_type WHEN 'SET' THEN 's' ELSE 'A' END,
                                  CASE WHEN e.is_grantable THEN '*' ELSE '' END] ORDER BY r.rolname, e.privilege_type)
FROM pg_parameter_acl p CROSS JOIN aclexplode(p.paracl) e LEFT JOIN pg_roles r ON r.oid = e.grantee
WHERE e.grantee <> 10 AND %(whole)s GROUP BY p.parname
"""


class ParameterPrivilegesFact(NamedTuple):
    grants: tuple[Grant, ...]


class ParameterPrivileges(Kind):
    """What roles may do with one parameter. It holds in all databases of the server, so a filter of schemas leaves it out."""

    name = "parameter privileges"
    phase = 99
    drop_phase = 99
    since = 150000
    rebuildable = False
    query = PRIVILEGES_ON_PARAMETERS

    def read(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Id, ParameterPrivilegesFact]]:
        for name, grants in rows:
            first, _, rest = name.partition(".")  # as in auto_explain.log_min_duration
            found = tuple((role, letter, passes_on == "*") for role, letter, passes_on in grants)
            yield Id(self.name, "", first, rest), ParameterPrivilegesFact(found)

    def _change(self, item: Id, before: Iterable[Grant], after: Iterable[Grant]) -> list[Step]:
        target = f"PARAMETER {quote_name('', item.name, item.sub)}"
        return [Step(sql, why, rule="grants") for sql, why in changes(before, after, target, object_type="p")]

    def create(self, item: Id, fact: ParameterPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, (), fact.grants)

    def drop(self, item: Id, fact: ParameterPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, fact.grants, ())

    def alter(self, item: Id, old: ParameterPrivilegesFact, new: ParameterPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, old.grants, new.grants)
