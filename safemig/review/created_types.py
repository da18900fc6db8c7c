"""What a statement that makes or changes a type, a domain, an operator or a cast does to what is known to exist."""

from __future__ import annotations

from safemig.review.functions import calls_in
from safemig.review.types import type_text
from safemig.review.world import ANY_OVERLOAD, Function, World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree, node, options, strings

_CODE_OF_DEFINITION = ("function", "procedure", "sfunc", "finalfunc", "combinefunc", "msfunc", "mfinalfunc", "minvfunc")


def enum(world: World, body: Tree, _conditional: bool) -> None:
    name = world.as_made(names.of_strings(body.get("typeName")))
    world.enums[name] = strings(body.get("vals"))
    world.add_object("TYPE", name)


def alter_enum(world: World, body: Tree, _conditional: bool) -> None:
    name = world.resolve(names.of_strings(body.get("typeName")))
    label, old = body.get("newVal", ""), body.get("oldVal")
    labels = world.enums.get(name)
    if labels is not None:
        if old in labels:
            labels[labels.index(old)] = label
        elif label not in labels:
            labels.append(label)
    if not old:
        world.labels_of_this_file.add((name, label))


def composite(world: World, body: Tree, _conditional: bool) -> None:
    world.add_object("TYPE", names.of_range(body.get("typevar")))


def range_type(world: World, body: Tree, _conditional: bool) -> None:
    world.add_object("TYPE", names.of_strings(body.get("typeName")))


def define(world: World, body: Tree, _conditional: bool) -> None:
    name = names.of_strings(body.get("defnames"))
    given = options(body.get("definition"))
    behind = [names.of_strings(node(given[key])[1].get("names")) for key in _CODE_OF_DEFINITION if key in given]
    if body.get("kind") == "OBJECT_TYPE":
        world.add_object("TYPE", name)
    elif body.get("kind") == "OBJECT_OPERATOR":
        world.operators.setdefault(name.name, []).extend(behind)
    elif body.get("kind") == "OBJECT_AGGREGATE":
        calls = tuple({"SelectStmt": {"targetList": [_call_of(function)]}} for function in behind)
        world.functions.setdefault(world.resolve(name), []).append(
            Function("sql", "", statements=calls, arguments=("any",), is_variadic=True)  # whatever it takes
        )


def _call_of(function: Name) -> Tree:
    parts = [part for part in function if part]
    call = {"funcname": [{"String": {"sval": part}} for part in parts], ANY_OVERLOAD: True}
    return {"ResTarget": {"val": {"FuncCall": call}}}


def cast(world: World, body: Tree, _conditional: bool) -> None:
    if "func" in body:
        target = type_text(body.get("targettype"))
        world.casts.setdefault(target, []).append(names.of_strings(body["func"].get("objname")))


def domain(world: World, body: Tree, _conditional: bool) -> None:
    name = world.as_made(names.of_strings(body.get("domainname")))
    kinds = {item.get("Constraint", {}).get("contype") for item in body.get("constraints", ())}
    world.domain_calls[str(name)] = list(calls_in(body.get("constraints")))
    world.domains[name] = bool(kinds & {"CONSTR_CHECK", "CONSTR_NOTNULL"})
    world.add_object("DOMAIN", name)


def alter_domain(world: World, body: Tree, _conditional: bool) -> None:
    if body.get("def"):
        name = world.resolve(names.of_strings(body.get("typeName")))
        world.domain_calls.setdefault(str(name), []).extend(calls_in(body["def"]))
