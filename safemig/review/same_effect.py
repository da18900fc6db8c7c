"""Whether the statements that take a statement's place have its effect, told from PostgreSQL's parse trees. Pure.

Both sides are brought to one form: what only says how the work is done (CONCURRENTLY, IF NOT EXISTS, NOT VALID with a later
VALIDATE, an index that a constraint takes over) is taken out. What remains must be equal.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from pglast.parser import ParseError

from safemig.sql.clauses import each_token
from safemig.sql.parsing import ParsedStatement
from safemig.sql.tree import Tree, node, read_json, tree_of


@dataclass(slots=True)
class _Effects:
    """What statements do: the commands of ALTER TABLE with their table, the indexes, and everything else as it stands."""

    commands: list[tuple[bytes, Tree]] = field(default_factory=list)
    indexes: dict[str, Tree] = field(default_factory=dict)
    others: list[Tree] = field(default_factory=list)


def why_another(original: ParsedStatement, replaced: Sequence[str]) -> str:
    """Return why the statements `replaced` do not have the effect of `original`; empty where they have it."""
    try:
        alone = read_json(replaced[0]) if len(replaced) == 1 and not original.is_abridged else []
        if len(alone) == 1 and _as_text(alone[0]) == _as_text(original.json):
            return ""  # the common case, without a walk through both trees
        before = _effects([original.in_full().json])
        after = _effects([one for sql in replaced for one in read_json(sql)])
    except (ParseError, RecursionError) as problem:
        return f"its safer form cannot be read: {problem.args[0]}"
    _join_validations(after)
    _join_not_nulls(before, after)
    _join_indexes(before, after)
    _leave_out_made_up_names(before, after)
    return "" if _words(before) == _words(after) else "its safer form would not keep every part of it"


# Each word whole: what a word does not begin with is told by its first letter.
_PLACES = "location|name_location|stmt_location|stmt_len|list_start|list_end|rexpr_list_start|rexpr_list_end"
_PLACE = re.compile(rf',"(?:{_PLACES})":-?\d+|"(?:{_PLACES})":-?\d+,?')
_HOW = rf'"(?:{_PLACES})":-?\d+,?|"(?:if_not_exists|missing_ok)":true,?'
_GUARDS = re.compile(_HOW)
_GUARDS_AND_WAYS = re.compile(_HOW + '|"concurrent":true,?')
_ANY_WAY = ('"IndexStmt"', '"DropStmt"')  # which can be CONCURRENTLY and hold nothing else that can


def _as_text(json_: str) -> str:
    """Return a statement's JSON without positions and without what only says how its work is done."""
    how = _GUARDS_AND_WAYS if json_.startswith(_ANY_WAY) else _GUARDS
    return how.sub("", json_).replace(",}", "}").rstrip(",}")


def comments(sql: str) -> Counter[str]:
    """Return the comments of a text, each with how often it occurs."""
    if "--" not in sql and "/*" not in sql:
        return Counter()
    return Counter(sql[token.start : token.end].strip() for token in each_token(sql) if token.kind == "comment")


def _without(body: Tree, *keys: str) -> Tree:
    return {key: value for key, value in body.items() if key not in keys}


def _effects(statements: Sequence[str]) -> _Effects:
    """Return what statements do, told from their JSON."""
    found = _Effects()
    for json_ in statements:
        kind, body = node(tree_of(_PLACE.sub("", json_))["stmt"])
        if kind == "AlterTableStmt":
            head = _as_bytes(_without(body, "cmds"))
            found.commands.extend((head, _command(item["AlterTableCmd"])) for item in body.get("cmds", ()))
        elif kind == "IndexStmt" and body.get("idxname"):
            found.indexes[body["idxname"]] = _without(body, "concurrent", "if_not_exists")
        elif kind == "DropStmt":
            rest = _without(body, "objects", "concurrent", "missing_ok")
            found.others.extend({kind: {**rest, "object": item}} for item in body.get("objects", ()))
        elif kind == "ReindexStmt":
            params = [one for one in body.get("params", ()) if one["DefElem"].get("defname") != "concurrently"]
            found.others.append({kind: {**_without(body, "params"), "params": params}})
        else:
            found.others.append({kind: _without(body, "concurrent", "if_not_exists")})
    return found


def _command(command: Tree) -> Tree:
    if command.get("subtype") == "AT_AddColumn":
        return _without(command, "missing_ok")
    constraint = command.get("def", {}).get("Constraint")
    if constraint is None:
        return command
    return {**command, "def": {"Constraint": _without(constraint, "initially_valid")}}


def _constraint(command: Tree) -> Tree:
    found: Tree = command.get("def", {}).get("Constraint", {})
    return found


def _join_validations(effects: _Effects) -> None:
    """Take an ADD CONSTRAINT ... NOT VALID and its VALIDATE CONSTRAINT together."""
    for head, command in list(effects.commands):
        if command.get("subtype") != "AT_ValidateConstraint":
            continue
        for number, (other_head, other) in enumerate(effects.commands):
            constraint = _constraint(other)
            if (
                other_head == head
                and constraint.get("conname") == command["name"]
                and constraint.get("skip_validation")
            ):
                made = {**other, "def": {"Constraint": _without(constraint, "skip_validation")}}
                effects.commands[number] = head, made
                effects.commands.remove((head, command))
                break


def _join_not_nulls(before: _Effects, after: _Effects) -> None:
    """Leave out the CHECK that stands on the way to NOT NULL, and is dropped at its end."""
    dropped = [
        (head, command)
        for head, command in after.commands
        if command.get("subtype") == "AT_DropConstraint" and (head, command) not in before.commands
    ]
    for head, command in dropped:
        added = [
            one for one in after.commands if one[0] == head and _constraint(one[1]).get("conname") == command["name"]
        ]
        if len(added) == 1 and _constraint(added[0][1]).get("contype") == "CONSTR_CHECK":
            after.commands.remove(added[0])
            after.commands.remove((head, command))


def _join_indexes(before: _Effects, after: _Effects) -> None:
    """Give a constraint that takes an index over the columns and options of that index."""
    for number, (head, command) in enumerate(after.commands):
        constraint = _constraint(command)
        index = after.indexes.get(constraint.get("indexname", ""))
        if index is None or constraint["indexname"] in before.indexes or not _is_of_key(index, orjson.loads(head)):
            continue
        made = _without(constraint, "indexname")
        for key, values in (("keys", index["indexParams"]), ("including", index.get("indexIncludingParams"))):
            if values:
                made[key] = [{"String": {"sval": item["IndexElem"].get("name", "")}} for item in values]
        for key, of_index in (("options", "options"), ("indexspace", "tableSpace"), ("nulls_not_distinct",) * 2):
            if of_index in index:
                made[key] = index[of_index]
        after.commands[number] = head, {**command, "def": {"Constraint": made}}
        del after.indexes[constraint["indexname"]]


def _is_of_key(index: Tree, head: Tree) -> bool:
    """Tell whether it is a plain unique btree index of the table, as a constraint would build it."""
    table, other = index.get("relation", {}), head.get("relation", {})
    elements = [item["IndexElem"] for item in (*index.get("indexParams", ()), *index.get("indexIncludingParams", ()))]
    plain = all(
        set(one) <= {"name", "ordering", "nulls_ordering"} and one.get("ordering") == "SORTBY_DEFAULT"
        for one in elements
    )
    same = all(table.get(key) == other.get(key) for key in ("catalogname", "schemaname", "relname"))
    return plain and same and bool(index.get("unique")) and "whereClause" not in index


def _leave_out_made_up_names(before: _Effects, after: _Effects) -> None:
    """Leave out the name of a constraint that has none in the original: it is the one that PostgreSQL would choose."""
    named = {_constraint(command).get("conname") for _, command in before.commands}
    for number, (head, command) in enumerate(after.commands):
        constraint = _constraint(command)
        if constraint.get("conname") and constraint["conname"] not in named:
            made = {**command, "def": {"Constraint": _without(constraint, "conname")}}
            after.commands[number] = head, made


def _words(effects: _Effects) -> list[tuple[bytes, bytes]]:
    parts: list[tuple[bytes, object]] = [
        *effects.commands,
        *((name.encode(), one) for name, one in effects.indexes.items()),
    ]
    parts += [(b"", one) for one in effects.others]
    return sorted((of, _as_bytes(part)) for of, part in parts)


def _as_bytes(part: object) -> bytes:
    try:
        return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested deeper than orjson writes
        return json.dumps(part, sort_keys=True).encode()
