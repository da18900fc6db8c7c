"""What a Supabase project's API reaches: the tables, views and functions that the migrations make in `public`, as they
leave them at the end. Pure.

PostgREST serves the schema `public` to the roles anon, authenticated and service_role, of which the last bypasses row
security. Since 2026-10-30 a new table has none of the three among its default privileges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safemig.review.functions import function_of
from safemig.sql import names
from safemig.sql.names import TEMPORARY, Name
from safemig.sql.parsing import ParsedStatement
from safemig.sql.tree import Tree, constant, node, options, strings, walk

if TYPE_CHECKING:
    from safemig.review.world import World

SUPABASE = "Supabase"
API_SCHEMA = "public"
API_ROLES = ("anon", "authenticated", "service_role")
PUBLIC = "PUBLIC"
OPEN_ROLES = frozenset(("anon", "authenticated", PUBLIC))  # which everyone has who has the project's public key
AUTH_USERS = Name("auth", "users")
_WHAT_IS_MADE = {
    "CreateStmt": "table",
    "CreateForeignTableStmt": "foreign table",
    "ViewStmt": "view",
    "CreateFunctionStmt": "function",
}
_TRUE = (None, True, 1, "true", "on", "1", "yes")  # None: the option is named without a value


@dataclass(slots=True)
class Exposed:
    """One object that the migrations make, where they make it, and what they say of it."""

    kind: str
    name: Name
    tree: Tree
    statement: ParsedStatement
    file: str
    is_reported: bool  # False for what a file makes that comes before those under review
    row_security: bool = False
    policies: set[str] = field(default_factory=set)
    granted: set[str] = field(default_factory=set)
    is_invoker: bool = False  # of a view: security_invoker
    is_definer: bool = False  # of a function: SECURITY DEFINER
    arguments: tuple[str, ...] = ()
    reads_auth_users: bool = False


@dataclass(slots=True)
class Exposure:
    """What the migrations make, in the order of making; `defaults` are the roles that new tables are granted to."""

    defaults: set[str] = field(default_factory=set)
    objects: dict[tuple[Name, tuple[str, ...]], Exposed] = field(default_factory=dict)
    called_by_policies: set[str] = field(default_factory=set)

    def note(self, world: World, tree: Tree, statement: ParsedStatement, *, is_reported: bool) -> None:
        """Write down what a statement says of who may reach what."""
        kind, body = node(tree)
        if kind in _WHAT_IS_MADE or kind == "CreateTableAsStmt" or (kind == "SelectStmt" and "intoClause" in body):
            self._make(world, kind, body, statement, is_reported)
        elif kind == "AlterTableStmt":
            self._alter(world, body)
        elif kind in ("CreatePolicyStmt", "AlterPolicyStmt"):
            for of_table in self._named(world.resolve(names.of_range(body.get("table")))):
                of_table.policies.add(str(body.get("policy_name", "")))
            self.called_by_policies |= {
                names.of_strings(call.get("funcname")).name for what, call in walk(body) if what == "FuncCall"
            }
        elif kind == "GrantStmt":
            self._grant(world, body)
        elif kind == "AlterDefaultPrivilegesStmt":
            self._by_default(body)
        elif kind == "AlterFunctionStmt":
            given = options(body.get("actions"))
            for function in self._named(
                world.resolve(names.of_object((body.get("func") and {"ObjectWithArgs": body["func"]}) or {}))
            ):
                if "security" in given:
                    function.is_definer = bool(constant(given["security"]))
        elif kind == "DropStmt":
            self._drop(world, body)
        elif kind == "RenameStmt" and body.get("renameType") in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
            old = world.resolve(names.of_range(body.get("relation")))
            self._move(old, Name(old.schema, str(body.get("newname", ""))))
        elif kind == "AlterObjectSchemaStmt" and "relation" in body:
            old = world.resolve(names.of_range(body["relation"]))
            self._move(old, Name(str(body.get("newschema", "")), old.name))

    def made(self) -> Iterator[Exposed]:
        """Yield what is under review and in the API's schema at the end."""
        for one in self.objects.values():
            if one.is_reported and one.name.schema == API_SCHEMA:
                yield one

    def _make(self, world: World, kind: str, body: Tree, statement: ParsedStatement, is_reported: bool) -> None:
        arguments: tuple[str, ...] = ()
        what = _WHAT_IS_MADE.get(kind, "table")
        if kind == "CreateFunctionStmt":
            name = names.of_strings(body.get("funcname"))
            arguments = function_of(body, "").arguments
        elif kind == "ViewStmt":
            name = names.of_range(body.get("view"))
        elif kind == "CreateForeignTableStmt":
            body = body.get("base", body)
            name = names.of_range(body.get("relation"))
        elif kind == "CreateStmt":
            name = names.of_range(body.get("relation"))
        else:
            into = (body.get("into") or body.get("intoClause") or {}).get("rel")
            name = names.of_range(into)
            what = "materialized view" if body.get("objtype") == "OBJECT_MATVIEW" else what
        relation = body.get("relation") or body.get("view") or (body.get("into") or {}).get("rel") or {}
        if relation.get("relpersistence") == "t" or name.schema == TEMPORARY:
            return
        full = world.resolve(name)
        known = self.objects.get((full, arguments))
        if known is not None and (body.get("if_not_exists") or body.get("replace")):
            known.is_definer = _is_definer(body) if what == "function" else known.is_definer
            known.is_invoker = _is_invoker(body) if what == "view" else known.is_invoker
            return
        if body.get("if_not_exists") and (table := world.tables.get(full)) and table.facts is not None:
            return  # it is there already, and stays what it is
        made = Exposed(what, full, body, statement, world.file, is_reported, arguments=arguments)
        if what == "function":
            made.is_definer = _is_definer(body)
            made.granted = {PUBLIC, *API_ROLES}  # EXECUTE is PUBLIC's from the start
        else:
            made.granted = set(self.defaults)
            made.is_invoker = _is_invoker(body)
            query = body.get("query") or body
            made.reads_auth_users = what != "foreign table" and any(
                part == "RangeVar" and world.resolve(names.of_range(found)) == AUTH_USERS for part, found in walk(query)
            )
        self.objects[full, arguments] = made

    def _alter(self, world: World, body: Tree) -> None:
        for found in self._named(world.resolve(names.of_range(body.get("relation")))):
            for item in body.get("cmds", ()):
                command = item.get("AlterTableCmd", {})
                subtype = command.get("subtype")
                if subtype in ("AT_EnableRowSecurity", "AT_DisableRowSecurity"):
                    found.row_security = subtype == "AT_EnableRowSecurity"
                elif subtype in ("AT_SetRelOptions", "AT_ResetRelOptions"):
                    given = options((command.get("def") or {}).get("List", {}).get("items"))
                    if "security_invoker" in given:
                        found.is_invoker = subtype == "AT_SetRelOptions" and _is_true(given["security_invoker"])

    def _grant(self, world: World, body: Tree) -> None:
        roles = set(_roles(body))
        for found in self._granted_on(world, body):
            if body.get("is_grant"):
                found.granted |= roles
            elif found.kind == "function" and PUBLIC in roles:
                # what a role was granted by name it keeps; no one was, unless by a GRANT in these files
                found.granted -= {PUBLIC, *API_ROLES} if PUBLIC in found.granted else roles
            elif not body.get("privileges") or found.kind == "function":
                found.granted -= roles

    def _granted_on(self, world: World, body: Tree) -> Iterable[Exposed]:
        functions = body.get("objtype") in ("OBJECT_FUNCTION", "OBJECT_ROUTINE", "OBJECT_PROCEDURE")
        if body.get("objtype") != "OBJECT_TABLE" and not functions:
            return
        if body.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            schemas = set(strings(body.get("objects")))
            yield from (
                one
                for one in self.objects.values()
                if one.name.schema in schemas and (one.kind == "function") == functions
            )
            return
        for item in body.get("objects", ()):
            yield from (
                one
                for one in self._named(world.resolve(names.of_object(item)))
                if (one.kind == "function") == functions
            )

    def _by_default(self, body: Tree) -> None:
        action = body.get("action", {})
        given = {item["DefElem"].get("defname"): item["DefElem"].get("arg", {}) for item in body.get("options", ())}
        schemas = strings(given.get("schemas", {}).get("List", {}).get("items"))
        if action.get("objtype") == "OBJECT_TABLE" and (not schemas or API_SCHEMA in schemas):
            roles = set(_roles(action))
            self.defaults = self.defaults | roles if action.get("is_grant") else self.defaults - roles

    def _drop(self, world: World, body: Tree) -> None:
        for item in body.get("objects", ()):
            if body.get("removeType") == "OBJECT_POLICY":
                parts = strings(item.get("List", {}).get("items"))
                for found in self._named(world.resolve(names.of_parts(parts[:-1]))):
                    found.policies.discard(parts[-1])
                continue
            for key in [key for key in self.objects if key[0] == world.resolve(names.of_object(item))]:
                del self.objects[key]

    def _move(self, old: Name, new: Name) -> None:
        for key in [key for key in self.objects if key[0] == old]:
            found = self.objects.pop(key)
            found.name = new
            self.objects[new, key[1]] = found

    def _named(self, name: Name) -> list[Exposed]:
        return [one for key, one in self.objects.items() if key[0] == name]


def role_of(spec: Tree) -> str:
    """Return the role that a RoleSpec names."""
    return PUBLIC if spec.get("roletype") == "ROLESPEC_PUBLIC" else str(spec.get("rolename", ""))


def _roles(body: Tree) -> Iterator[str]:
    for item in body.get("grantees", ()):
        yield role_of(item.get("RoleSpec", {}))


def _is_true(argument: Tree) -> bool:
    value = constant(argument)
    return (value.lower() if isinstance(value, str) else value) in _TRUE


def _is_invoker(body: Tree) -> bool:
    given = options(body.get("options"))
    return "security_invoker" in given and _is_true(given["security_invoker"])


def _is_definer(body: Tree) -> bool:
    return bool(constant(options(body.get("options")).get("security")))
