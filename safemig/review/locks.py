"""Which lock each statement takes, on which tables: as measured on PostgreSQL 15 and 17 (tests/review/test_locks.py)."""

from __future__ import annotations

from collections.abc import Callable

from safemig.review.dependents import children, joined_by, references, referring, users_of_type
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.kinds import flag
from safemig.sql.locks import LockMode
from safemig.sql.names import Name
from safemig.sql.tree import Tree, node, strings, walk

_TRIGGERS = {
    f"AT_{switch}Trig{which}": LockMode.SHARE_ROW_EXCLUSIVE
    for switch in ("Enable", "Disable")
    for which in ("", "All", "User")
}
# What is not named here takes ACCESS EXCLUSIVE (AlterTableGetLockLevel).
COMMAND_LOCKS: dict[str, LockMode] = {
    **_TRIGGERS,
    "AT_EnableAlwaysTrig": LockMode.SHARE_ROW_EXCLUSIVE,
    "AT_EnableReplicaTrig": LockMode.SHARE_ROW_EXCLUSIVE,
    "AT_ValidateConstraint": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_SetStatistics": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_SetOptions": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_ResetOptions": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_SetRelOptions": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_ResetRelOptions": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_ClusterOn": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_DropCluster": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_AttachPartition": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "AT_DetachPartitionFinalize": LockMode.SHARE_UPDATE_EXCLUSIVE,
}
# What ALTER TABLE hands down to partitions and children, with the same lock on each.
_RECURSING = frozenset(
    f"AT_{command}"
    for command in ("AddColumn", "DropColumn", "AlterColumnType", "SetNotNull", "DropNotNull", "ColumnDefault", "AddConstraint",
                    "DropConstraint", "ValidateConstraint", "SetStorage", "SetStatistics", "DropExpression", "SetExpression")
)  # fmt: skip
DML = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))
_CHANGE = 'Stmt":{"relation":{'  # how the JSON of each of them begins; a SELECT, which is inside most, has no relation
_Take = Callable[[Name, LockMode], None]
_LOCK_TABLE_MODES = (None, *LockMode)  # LockStmt.mode counts from 1 as PostgreSQL's LOCKMODE does


def command_lock(command: Tree) -> LockMode:
    """Return the lock that one command of ALTER TABLE takes on its table."""
    subtype = command.get("subtype", "")
    kind, definition = node(command.get("def") or {})
    if subtype == "AT_AddConstraint" and kind == "Constraint" and definition.get("contype") == "CONSTR_FOREIGN":
        return LockMode.SHARE_ROW_EXCLUSIVE
    if subtype == "AT_DetachPartition" and definition.get("concurrent"):
        return LockMode.SHARE_UPDATE_EXCLUSIVE
    return COMMAND_LOCKS.get(subtype, LockMode.ACCESS_EXCLUSIVE)


def locks(tree: Tree, world: World, json: str | None = None) -> dict[Name, LockMode]:
    """Return the strongest lock on each table that the statement names or that is known to hang on it.

    `json` is the text that the tree was read from, where the caller has it: it spares the walk.
    """
    found: dict[Name, LockMode] = {}

    def take(name: Name, mode: LockMode) -> None:
        if name.name:
            full = world.resolve(name)
            if full not in found or found[full].strength < mode.strength:
                found[full] = mode

    kind, body = node(tree)
    if mode := _ON_ITS_RELATION.get(kind):
        take(names.of_range(body.get("relation")), mode)
    elif of_kind := _OF_KIND.get(kind):
        of_kind(body, world, take)
    if kind == "CreateStmt" and (json is None or '"pktable":{' in json):
        for name in references(body):
            take(name, LockMode.SHARE_ROW_EXCLUSIVE)
    for _, part in changes_inside(tree, json):
        take(names.of_range(part.get("relation")), LockMode.ROW_EXCLUSIVE)
    return found


def changes_inside(tree: Tree, json: str | None) -> list[tuple[str, Tree]]:
    """Return the changes of rows within a statement, in its CTEs mostly, not the statement itself."""
    if json is not None and json.find(_CHANGE, 16) < 0:
        return []
    return [(kind, part) for kind, part in walk(node(tree)[1]) if kind in DML]


def _of_alter_table(body: Tree, world: World, take: _Take) -> None:
    if body.get("objtype") not in (None, "OBJECT_TABLE", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        return
    target = names.of_range(body.get("relation"))
    for item in body.get("cmds", ()):
        command = item.get("AlterTableCmd", {})
        take(target, command_lock(command))
        if command.get("subtype") in _RECURSING and body.get("relation", {}).get("inh"):
            for child in children(world, world.resolve(target)):
                take(child, command_lock(command))
        _of_command(command, world.resolve(target), world, take)


def _of_create_table(body: Tree, world: World, take: _Take) -> None:
    partition = bool(body.get("partbound"))
    for item in body.get("inhRelations", ()):
        parent = names.of_range(item.get("RangeVar"))
        take(parent, LockMode.ACCESS_EXCLUSIVE if partition else LockMode.SHARE_UPDATE_EXCLUSIVE)
        if partition:
            _default_partition(world, parent, take)


def _of_create_index(body: Tree, world: World, take: _Take) -> None:
    target = names.of_range(body.get("relation"))
    take(target, LockMode.SHARE_UPDATE_EXCLUSIVE if body.get("concurrent") else LockMode.SHARE)
    for child in children(world, world.resolve(target)) if body.get("relation", {}).get("inh") else ():
        take(child, LockMode.SHARE)


def _of_statistics(body: Tree, _world: World, take: _Take) -> None:
    for item in body.get("relations", ()):
        take(names.of_range(item.get("RangeVar")), LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_alter_domain(body: Tree, world: World, take: _Take) -> None:
    for name in _users_of_domain(body, world):
        take(name, LockMode.SHARE)


def _of_rename(body: Tree, _world: World, take: _Take) -> None:
    if body.get("renameType") in ("OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_POLICY",
                                  "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_MATVIEW"):  # fmt: skip
        take(names.of_range(body.get("relation")), LockMode.ACCESS_EXCLUSIVE)


def _of_policy(body: Tree, _world: World, take: _Take) -> None:
    take(names.of_range(body.get("table")), LockMode.ACCESS_EXCLUSIVE)


def _of_truncate(body: Tree, world: World, take: _Take) -> None:
    for item in body.get("relations", ()):
        name = names.of_range(item.get("RangeVar"))
        cascade = body.get("behavior") == "DROP_CASCADE"
        others = referring(world, world.resolve(name)) if cascade else []
        for one in (name, *others, *children(world, world.resolve(name))):
            take(one, LockMode.ACCESS_EXCLUSIVE)


def _of_lock_table(body: Tree, _world: World, take: _Take) -> None:
    mode = _LOCK_TABLE_MODES[int(body.get("mode", 8))] or LockMode.ACCESS_EXCLUSIVE
    for item in body.get("relations", ()):
        take(names.of_range(item.get("RangeVar")), mode)


def _of_reindex(body: Tree, world: World, take: _Take) -> None:
    target = names.of_range(body.get("relation"))
    if body.get("kind") == "REINDEX_OBJECT_INDEX":
        target = world.indexes.get(world.resolve(target), names.NO_NAME)
    concurrently = flag(body.get("params"), "concurrently")
    take(target, LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.SHARE)


def _of_vacuum(body: Tree, _world: World, take: _Take) -> None:
    full = flag(body.get("options"), "full") and body.get("is_vacuumcmd")
    for item in body.get("rels", ()):
        name = names.of_range(item.get("VacuumRelation", {}).get("relation"))
        take(name, LockMode.ACCESS_EXCLUSIVE if full else LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_refresh(body: Tree, _world: World, take: _Take) -> None:
    mode = LockMode.EXCLUSIVE if body.get("concurrent") else LockMode.ACCESS_EXCLUSIVE
    take(names.of_range(body.get("relation")), mode)


def _of_comment(body: Tree, _world: World, take: _Take) -> None:
    if body.get("objtype") in ("OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_VIEW"):
        parts = strings(body.get("object", {}).get("List", {}).get("items"))
        parts = parts[:-1] if body["objtype"] == "OBJECT_COLUMN" else parts
        take(names.of_parts(parts), LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_publication(body: Tree, _world: World, take: _Take) -> None:
    for item in body.get("pubobjects", ()):
        published = item.get("PublicationObjSpec", {}).get("pubtable", {})
        take(names.of_range(published.get("relation")), LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_copy(body: Tree, _world: World, take: _Take) -> None:
    mode = LockMode.ROW_EXCLUSIVE if body.get("is_from") else LockMode.ACCESS_SHARE
    take(names.of_range(body.get("relation")), mode)


def _of_command(command: Tree, table: Name, world: World, take: _Take) -> None:
    kind, definition = node(command.get("def") or {})
    subtype = command.get("subtype")
    for name in references(definition):
        take(name, LockMode.SHARE_ROW_EXCLUSIVE)
    if subtype == "AT_AttachPartition":
        take(names.of_range(definition.get("name")), LockMode.ACCESS_EXCLUSIVE)
        _default_partition(world, table, take)
    elif subtype == "AT_DetachPartition":
        concurrent = bool(definition.get("concurrent"))
        take(table, LockMode.SHARE_UPDATE_EXCLUSIVE if concurrent else LockMode.ACCESS_EXCLUSIVE)
        if not concurrent:
            take(names.of_range(definition.get("name")), LockMode.ACCESS_EXCLUSIVE)
            _default_partition(world, table, take)
    elif subtype == "AT_DropConstraint":
        known = world.tables.get(table)
        constraint = known.facts.constraints.get(command.get("name", "")) if known and known.facts else None
        if constraint and constraint.references:
            take(world.named(constraint.references), LockMode.ACCESS_EXCLUSIVE)
        elif constraint and constraint.kind in ("p", "u") and command.get("behavior") == "DROP_CASCADE":
            for column in constraint.definition.partition("(")[2].rstrip(")").split(","):
                for name in joined_by(world, table, column.strip().strip('"')):
                    take(name, LockMode.ACCESS_EXCLUSIVE)
    elif subtype in ("AT_AlterColumnType", "AT_DropColumn"):
        for name in joined_by(world, table, command.get("name", "")):  # the foreign key is dropped, or re-created
            take(name, LockMode.ACCESS_EXCLUSIVE)
    elif subtype == "AT_AddInherit" and kind == "RangeVar":
        take(names.of_range(definition), LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_drop(body: Tree, world: World, take: _Take) -> None:
    kind = body.get("removeType")
    for item in body.get("objects", ()):
        name = names.of_object(item)
        if kind in ("OBJECT_TABLE", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
            take(name, LockMode.ACCESS_EXCLUSIVE)
            known = world.tables.get(world.resolve(name))
            for constraint in known.facts.constraints.values() if known and known.facts else ():
                if constraint.references:
                    take(world.named(constraint.references), LockMode.ACCESS_EXCLUSIVE)
            if known and known.parent:
                take(known.parent, LockMode.ACCESS_EXCLUSIVE)
                _default_partition(world, known.parent, take)
            for child in children(world, world.resolve(name)):
                take(child, LockMode.ACCESS_EXCLUSIVE)
            if body.get("behavior") == "DROP_CASCADE" and known and known.facts:
                for words in known.facts.dependents:  # "materialized view totals", "foreign key k of orders"
                    if not words.startswith("view "):
                        take(names.of_last(words), LockMode.ACCESS_EXCLUSIVE)
        elif kind == "OBJECT_INDEX":
            owner = world.indexes.get(world.resolve(name))
            if owner:
                mode = LockMode.SHARE_UPDATE_EXCLUSIVE if body.get("concurrent") else LockMode.ACCESS_EXCLUSIVE
                take(owner, mode)
        elif kind == "OBJECT_STATISTIC_EXT":
            take(world.statistics.get(world.resolve(name), names.NO_NAME), LockMode.SHARE_UPDATE_EXCLUSIVE)
        elif kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
            parts = strings(item.get("List", {}).get("items"))
            take(names.of_parts(parts[:-1]), LockMode.ACCESS_EXCLUSIVE)
        elif body.get("behavior") == "DROP_CASCADE" and kind == "OBJECT_FUNCTION":
            for table in world.tables.values():
                if any(
                    one.function and world.resolve(one.function) == world.resolve(name)
                    for one in table.triggers.values()
                ):
                    take(table.name, LockMode.ACCESS_EXCLUSIVE)
        elif body.get("behavior") == "DROP_CASCADE" and kind == "OBJECT_SCHEMA":
            for inside in [one for one in world.tables if one.schema == name.name]:
                take(inside, LockMode.ACCESS_EXCLUSIVE)
        elif body.get("behavior") == "DROP_CASCADE" and kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
            for user in users_of_type(name, world):
                take(user, LockMode.ACCESS_EXCLUSIVE)


def _default_partition(world: World, parent: Name, take: _Take) -> None:
    """The DEFAULT partition's bounds change with every other partition's."""
    known = world.tables.get(world.resolve(parent))
    if known and known.facts and known.facts.default_partition:
        take(world.named(known.facts.default_partition), LockMode.ACCESS_EXCLUSIVE)


def _users_of_domain(body: Tree, world: World) -> list[Name]:
    """Return the tables with a column of the domain, where the change reads them."""
    checks = body.get("subtype") in ("C", "O", "V") and not (body.get("def") or {}).get("Constraint", {}).get(
        "skip_validation"
    )
    if not checks:
        return []
    return [
        name
        for name in users_of_type(names.of_strings(body.get("typeName")), world)
        if not world.tables[name].is_partitioned
    ]


# What takes one lock, on the relation that it names, whatever else it says.
_ON_ITS_RELATION = {
    **dict.fromkeys(DML, LockMode.ROW_EXCLUSIVE),
    "CreateTrigStmt": LockMode.SHARE_ROW_EXCLUSIVE,
    "AlterObjectSchemaStmt": LockMode.ACCESS_EXCLUSIVE,
    "RuleStmt": LockMode.ACCESS_EXCLUSIVE,
    "ClusterStmt": LockMode.ACCESS_EXCLUSIVE,
}
_OF_KIND: dict[str, Callable[[Tree, World, _Take], None]] = {
    "AlterTableStmt": _of_alter_table, "CreateStmt": _of_create_table, "IndexStmt": _of_create_index,
    "CreateStatsStmt": _of_statistics, "AlterDomainStmt": _of_alter_domain, "DropStmt": _of_drop,
    "RenameStmt": _of_rename, "CreatePolicyStmt": _of_policy, "AlterPolicyStmt": _of_policy,
    "TruncateStmt": _of_truncate, "LockStmt": _of_lock_table, "ReindexStmt": _of_reindex, "VacuumStmt": _of_vacuum,
    "RefreshMatViewStmt": _of_refresh, "CommentStmt": _of_comment, "CreatePublicationStmt": _of_publication,
    "AlterPublicationStmt": _of_publication, "CopyStmt": _of_copy,
}  # fmt: skip
