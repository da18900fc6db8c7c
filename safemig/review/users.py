"""Who uses a table, a column or a function, by name: functions, views, triggers and policies of the files and of the target. Pure.

A body in quotes is looked up by name when it runs: a rename or a drop breaks it silently. Views, policies and triggers hang
on the object itself: a rename takes them along, a drop is refused (or, with CASCADE, takes them too).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from safemig.review.functions import function_statements
from safemig.review.world import Function, Trigger, World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree, strings, walk

_SHOWN = 6


class Users(NamedTuple):
    """What names the object in a body that is read when it runs, and what hangs on the object; in words, each once."""

    by_name: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()

    def after_rename(self) -> str:
        """Return what a rename breaks, as the end of a sentence; "" where nothing is known."""
        return f"; {_list(self.by_name)} still {_verb(self.by_name, 'name')} it" if self.by_name else ""

    def after_drop(self, *, cascade: bool) -> str:
        """Return what a drop breaks and what hinders it, as the end of a sentence; "" where nothing is known."""
        said = (
            f"; {_list(self.by_name)} {_verb(self.by_name, 'name')} it and {_verb(self.by_name, 'fail')} when run"
            if self.by_name
            else ""
        )
        if self.bound:
            said += (
                f"; CASCADE takes {_list(self.bound)}"
                if cascade
                else f"; refused while {_list(self.bound)} {_verb(self.bound, 'need')} it"
            )
        return said


def _list(items: tuple[str, ...]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _verb(items: tuple[str, ...], verb: str) -> str:
    return verb if len(items) > 1 else f"{verb}s"


def users_of_table(world: World, name: Name) -> Users:
    """Return who uses a table or view."""
    full = world.resolve(name)
    found = _in_functions(world, full, "")
    bound = {f"view {view}" for view, tree in world.views.items() if view != full and _reads(world, tree, full)}
    for other, table in world.tables.items() if world.has_conditions else ():
        bound |= {
            f"policy {policy} of {other}"
            for policy, condition in table.conditions.items()
            if other != full and _reads(world, condition, full)
        }
    return Users(tuple(found), tuple(sorted(bound)))


def users_of_column(world: World, table: Name, column: str) -> Users:
    """Return who uses a column."""
    full = world.resolve(table)
    known = world.tables.get(full)
    found = list(_in_functions(world, full, column))
    bound = {
        f"view {view}"
        for view, tree in world.views.items()
        if _reads(world, tree, full) and (_names_column(tree, column) or _takes_all(tree))
    }
    if known:
        bound |= {f"policy {one}" for one, condition in known.conditions.items() if _names_column(condition, column)}
        bound |= {f"trigger {one}" for one, trigger in known.triggers.items() if column in trigger.columns}
        if known.facts and column in known.facts.columns:
            bound |= set(known.facts.columns[column].users)
    return Users(tuple(found), tuple(sorted(bound)))


def users_of_function(world: World, name: Name) -> Users:
    """Return who calls a function."""
    full = world.resolve(name)
    by_name = sorted(
        {
            f"{other}()"
            for other, one in _functions_that_say(world, full.name)
            if other != full and _calls(world, one, full)
        }
    )
    bound = {f"view {view}" for view, tree in world.views.items() if _is_called(world, tree, full)}
    for other, table in world.tables.items():
        for trigger, one in table.triggers.items():
            if one.function is not None and world.resolve(one.function) == full:
                bound.add(f"trigger {trigger} of {other}")
        for policy, calls in table.policies.items():
            if any(world.resolve(names.of_strings(call.get("funcname"))) == full for call in calls):
                bound.add(f"policy {policy} of {other}")
        for column, of_column in table.columns.items():
            if any(world.resolve(names.of_strings(call.get("funcname"))) == full for call in of_column.calls):
                bound.add(f"the default of {other}.{column}")
    return Users(tuple(by_name), tuple(sorted(bound)))


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?i)(?<![\w$]){re.escape(word)}(?![\w$])", text) is not None


def _in_functions(world: World, table: Name, column: str) -> Iterable[str]:
    """Return the functions whose bodies name the table, and its column where one is asked for."""
    of_triggers = {world.resolve(one.function) for one in _triggers(world, table) if one.function is not None}
    found = set()
    for name, one in _functions_that_say(world, column or table.name):
        as_row = (
            bool(column)
            and name in of_triggers
            and re.search(rf"(?i)\b(new|old)\.\"?{re.escape(column)}\b", one.source)
        )
        if as_row or (_has_word(one.source, table.name) and _body_names(world, one, table, column)):
            found.add(f"{name}()")
    return sorted(found)


_WORD = re.compile(r"[\w$]+")


def _functions_that_say(world: World, word: str) -> list[tuple[Name, Function]]:
    """Return the functions whose bodies hold the word: each body is split into words once, however often it is asked about."""
    for name, function in world.unindexed:
        for each in set(_WORD.findall(function.source.lower())):
            world.named_by.setdefault(each, []).append((name, function))
    world.unindexed.clear()
    key = max(_WORD.findall(word.lower()), key=len, default="")  # of a quoted name with blanks in it, the longest part
    return [
        (name, one)
        for name, one in world.named_by.get(key, ())
        if any(one is known for known in world.functions.get(name, ()))
    ]


def _triggers(world: World, table: Name) -> Iterator[Trigger]:
    known = world.tables.get(table)
    yield from known.triggers.values() if known else ()


def _body_names(world: World, function: Function, table: Name, column: str) -> bool:
    """Tell whether a statement of the body names the table, and the column with it; of a body that cannot be read, the words do."""
    statements = function_statements(function)
    if not statements:
        return True
    return any(_reads(world, one, table) and (not column or _names_column(one, column)) for one in statements)


def _calls(world: World, function: Function, name: Name) -> bool:
    statements = function_statements(function)
    return not statements or any(_is_called(world, one, name) for one in statements)


def _is_called(world: World, tree: Tree, name: Name) -> bool:
    return name.name in _words(world, tree) and any(
        kind == "FuncCall" and world.resolve(names.of_strings(part.get("funcname"))) == name
        for kind, part in walk(tree)
    )


def _words(world: World, tree: object) -> frozenset[str]:
    """Return every name in a tree: found once for each, however often it is asked about."""
    known = world.words.get(id(tree))
    if known is None or known[0] is not tree:
        said: set[str] = set()
        for kind, part in walk(tree):
            if kind == "String":
                said.add(part.get("sval", ""))
            said.update(str(part[key]) for key in ("relname", "name") if isinstance(part.get(key), str))
            said.update(inner["relname"] for inner in part.values() if isinstance(inner, dict) and "relname" in inner)
        known = world.words[id(tree)] = tree, frozenset(said)
    return known[1]


def _reads(world: World, tree: object, table: Name) -> bool:
    if table.name not in _words(world, tree):
        return False
    for kind, part in walk(tree):
        if kind == "RangeVar" and world.resolve(names.of_range(part)) == table:
            return True
        if (
            kind.endswith("Stmt")
            and "relname" in part.get("relation", ())
            and world.resolve(names.of_range(part["relation"])) == table
        ):
            return True
    return False


def _names_column(tree: object, column: str) -> bool:
    for kind, part in walk(tree):
        if kind == "ColumnRef" and column in strings(part.get("fields"))[-1:]:
            return True
        if kind == "ResTarget" and part.get("name") == column:
            return True
    return False


def _takes_all(tree: object) -> bool:
    return any(kind == "A_Star" for kind, _ in walk(tree))
