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
    bound = {
        f"view {view}" for view, said in _views_that_say(world, full.name) if view != full and said.reads(world, full)
    }
    for other, table in world.tables.items() if world.has_conditions else ():
        bound |= {
            f"policy {policy} of {other}"
            for policy, conditions in table.conditions.items()
            if other != full and any(_said(world, one).reads(world, full) for one in conditions)
        }
    return Users(tuple(found), tuple(sorted(bound)))


def users_of_column(world: World, table: Name, column: str) -> Users:
    """Return who uses a column."""
    full = world.resolve(table)
    known = world.tables.get(full)
    found = list(_in_functions(world, full, column))
    bound = {f"view {view}" for view, said in _views_that_say(world, full.name, column) if said.reads(world, full)}
    if known:
        bound |= {
            f"policy {policy}"
            for policy, conditions in known.conditions.items()
            if any(column in _said(world, one).columns for one in conditions)
        }
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
    bound = {f"view {view}" for view, said in _views_that_say(world, full.name) if said.calls(world, full)}
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


def _views_that_say(world: World, word: str, column: str = "") -> Iterator[tuple[Name, Said]]:
    """Yield the views whose queries name a relation or call a function of that name, whatever its schema.

    Where a column is asked for, only those that name it too, or take all.
    """
    for name, tree in world.unindexed_views:
        said = _names_in(tree)
        for each in {one.name for one in (*said.relations, *said.functions)}:
            world.views_by.setdefault(each, {})[name] = tree, said
    world.unindexed_views.clear()
    for name, (tree, said) in world.views_by.get(word, {}).items():
        if (not column or said.takes_all or column in said.columns) and world.views.get(name) is tree:
            yield name, said


def _body_names(world: World, function: Function, table: Name, column: str) -> bool:
    """Tell whether a statement of the body names the table, and the column with it; of a body that cannot be read, the words do."""
    statements = [_said(world, one) for one in function_statements(function)]
    if not statements:
        return True
    return any(one.reads(world, table) and (not column or column in one.columns) for one in statements)


def _calls(world: World, function: Function, name: Name) -> bool:
    statements = function_statements(function)
    return not statements or any(_said(world, one).calls(world, name) for one in statements)


class Said(NamedTuple):
    """What a query names, as it is written."""

    relations: frozenset[Name]
    columns: frozenset[str]
    functions: frozenset[Name]
    takes_all: bool  # by a `*`

    def reads(self, world: World, table: Name) -> bool:
        """Tell whether the query names the relation of this full name."""
        return any(one.name == table.name and world.resolve(one) == table for one in self.relations)

    def calls(self, world: World, function: Name) -> bool:
        """Tell whether the query calls the function of this full name."""
        return any(one.name == function.name and world.resolve(one) == function for one in self.functions)


def _said(world: World, tree: Tree) -> Said:
    """Return what a tree names: found once for each, however often it is asked about."""
    known = world.said.get(id(tree))
    if known is None or known[0] is not tree:
        known = world.said[id(tree)] = tree, _names_in(tree)
    return known[1]


def _names_in(tree: Tree) -> Said:
    relations, columns, functions, takes_all = set(), set(), set(), False
    for kind, part in walk(tree):
        if kind == "RangeVar":
            relations.add(names.of_range(part))
        elif kind == "ColumnRef":
            columns.update(strings(part.get("fields"))[-1:])
        elif kind == "ResTarget":
            columns.add(part.get("name", ""))
        elif kind == "FuncCall":
            functions.add(names.of_strings(part.get("funcname")))
        elif kind == "A_Star":
            takes_all = True
        elif kind.endswith("Stmt") and "relname" in part.get("relation", ()):
            relations.add(names.of_range(part["relation"]))
    return Said(frozenset(relations), frozenset(columns), frozenset(functions), takes_all)
