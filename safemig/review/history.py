"""How each statement changes what is known to exist: read once, in order, applied migrations first."""

from __future__ import annotations

from collections.abc import Callable

from safemig.review import created_types, renewed
from safemig.review.functions import calls_in, function_of
from safemig.review.overloads import same_arguments
from safemig.review.renamed_objects import rename, set_schema
from safemig.review.types import type_text
from safemig.review.world import RULE_EVENTS, Age, Column, Constraint, EventTrigger, Table, Trigger, World, takes_a_row
from safemig.sql import names
from safemig.sql.names import TEMPORARY, Name
from safemig.sql.tree import Tree, constant, node, strings

_EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))  # TRIGGER_TYPE_* in pg_trigger.h
_CHANGES_NOTHING = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt", "DoStmt", "CallStmt", "ExplainStmt",
                             "ExecuteStmt", "TruncateStmt", "CommentStmt", "LockStmt", "VariableShowStmt"))  # fmt: skip
# What `World.new_objects` holds but schemas, whose names are no relations'.
_NAMED = ("FUNCTION", "VIEW", "MATERIALIZED VIEW", "INDEX", "SEQUENCE", "TYPE", "DOMAIN")
CONTYPES = {"CONSTR_FOREIGN": "f", "CONSTR_CHECK": "c", "CONSTR_UNIQUE": "u", "CONSTR_PRIMARY": "p",
            "CONSTR_EXCLUSION": "x", "CONSTR_NOTNULL": "n"}  # fmt: skip


def apply(world: World, tree: Tree, text: str, *, conditional: bool = False) -> None:
    """Write into `world` what the statement does; `conditional` where it may not run (inside a DO block)."""
    kind, body = node(tree)
    if kind == "CreateFunctionStmt":
        _function(world, body, text)
    elif change := _CHANGES.get(kind):
        change(world, body, conditional)
    elif kind in _CHANGES_NOTHING:
        return
    elif kind == "GrantStmt":
        _grant(world, body)
        return
    if kind != "SelectStmt" or body.get("intoClause"):
        note_change(world)


def _grant(world: World, body: Tree) -> None:
    """Note on what the files grant or revoke something: it is lost where that is dropped and re-created."""
    for item in body.get("objects", ()):
        if body.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
            world.granted.add(Name(names.of_object(item).name, "*"))
        else:
            world.granted.add(world.resolve(names.of_object(item)))


def note_change(world: World) -> None:
    """Note that what was found harmless may be so no longer."""
    world.version += 1
    world.harmless.clear()


def _create_table(world: World, body: Tree, conditional: bool) -> None:
    relation = body.get("relation", {})
    name = names.of_range(relation)
    if relation.get("relpersistence") == "t":
        name = Name(TEMPORARY, name.name)
    full = world.as_made(name)
    known = world.tables.get(full)
    guarded = bool(body.get("if_not_exists")) or conditional
    if guarded and known is not None and (known.facts is not None or known.age != "existing" or known.is_known):
        return  # it is there: the statement does nothing
    table = _new_table(world, full, guarded)
    for item in body.get("tableElts", ()):
        kind, element = node(item)
        if kind == "ColumnDef":
            add_column(world, table, element, guarded=table.age == "maybe")
        elif kind == "Constraint":
            add_constraint(
                world, table, {**element, "skip_validation": False}
            )  # NOT VALID means nothing on an empty table
            table.calls.extend(calls_in(element.get("raw_expr")))
        elif kind == "TableLikeClause":
            table.is_known = False
    table.is_partitioned = bool(body.get("partspec"))
    for parent in body.get("inhRelations", ()):
        table.parent = world.resolve(names.of_range(parent.get("RangeVar")))
        table.is_known = False
        world.children.setdefault(table.parent, []).append(table.name)
        if body.get("partbound"):
            world.table(table.parent).is_partitioned = True


def _new_table(world: World, full: Name, guarded: bool) -> Table:
    temporary = full.schema == TEMPORARY
    # a temporary table lives in this session only, so it was not there before
    age: Age = "existing" if not world.pending else "maybe" if guarded and not temporary else "new"
    if age == "maybe" and world.target is not None:
        age = "new"  # the target was read, and it has no such table
    table = Table(full, age, is_known=True)
    world.tables[full] = table
    world.young.append(table)
    return table


def _create_table_as(world: World, body: Tree, conditional: bool) -> None:
    into = body.get("into") or body.get("intoClause") or {}
    relation = into.get("rel", {})
    if body.get("objtype") == "OBJECT_MATVIEW":
        world.add_object("MATERIALIZED VIEW", names.of_range(relation))
    name = names.of_range(relation)
    if relation.get("relpersistence") == "t":
        name = Name(TEMPORARY, name.name)
    full = world.as_made(name)
    if (body.get("if_not_exists") or conditional) and world.knows(full):
        return
    table = _new_table(world, full, bool(body.get("if_not_exists")) or conditional)
    table.is_known = False


def _select(world: World, body: Tree, conditional: bool) -> None:
    if body.get("intoClause"):
        _create_table_as(world, body, conditional)
        return
    for item in body.get("targetList", ()):  # SELECT set_config('search_path', ...)
        kind, call = node(item.get("ResTarget", {}).get("val", {}))
        if kind == "FuncCall" and strings(call.get("funcname"))[-1:] == ["set_config"]:
            values = [constant(argument) for argument in call.get("args", ())]
            if len(values) > 1 and isinstance(values[0], str):
                _set(world, values[0], [str(values[1])])


_OF_SERIAL = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}


def add_column(world: World, table: Table, definition: Tree, *, guarded: bool = False) -> None:
    """Note a column and the constraints that are written with it."""
    name = definition.get("colname", "")
    age: Age = "existing" if not world.pending else "maybe" if guarded and table.facts is None else "new"
    written = type_text(definition.get("typeName"))
    column = Column(type=_OF_SERIAL.get(written, written), age=age)
    if table.age == "existing":
        world.young.append(table)
    for item in definition.get("constraints", ()):
        constraint = item.get("Constraint", {})
        if constraint.get("contype") == "CONSTR_NOTNULL":
            column.not_null = True
        elif constraint.get("contype") == "CONSTR_DEFAULT":
            column.calls = calls_in(constraint.get("raw_expr"))
        else:
            add_constraint(world, table, constraint, columns=(name,))
        if constraint.get("contype") in ("CONSTR_CHECK", "CONSTR_GENERATED"):
            table.calls.extend(calls_in(constraint.get("raw_expr")))
    table.columns[name] = column


def add_constraint(world: World, table: Table, constraint: Tree, columns: tuple[str, ...] = ()) -> None:
    """Note a constraint, and that what it refers to now has something hanging on it."""
    kind = CONTYPES.get(constraint.get("contype", ""), "")
    keys = tuple(strings(constraint.get("fk_attrs")) or strings(constraint.get("keys"))) or columns
    validated = not constraint.get("skip_validation")
    name = constraint.get("conname") or f"{table.name.name}_{'_'.join(keys)}_{constraint.get('contype', '')}"
    not_null = keys[0] if kind == "n" and keys else not_null_check(constraint.get("raw_expr")) if kind == "c" else None
    on_delete, on_update = (constraint.get(f"fk_{event}_action") or "a" for event in ("del", "upd"))
    file = world.file if world.pending else ""
    table.constraints[name] = Constraint(kind, validated, not_null, keys, file, on_delete, on_update)
    if kind in ("u", "p"):
        table.indexes[constraint.get("indexname") or name] = keys
    if kind == "f":
        world.foreign_keys.append((table.name, table.constraints[name], world.statement))
        parent = world.table(names.of_range(constraint.get("pktable")))
        world.referring.setdefault(parent.name, []).append((table.name, name))
        if table.age == "existing" and parent.age != "existing":
            parent.is_entangled = True


def not_null_check(expression: Tree | None) -> str | None:
    """Return the column of a `CHECK (column IS NOT NULL)`, also as one arm of an AND."""
    kind, body = node(expression or {})
    if kind == "NullTest" and body.get("nulltesttype") == "IS_NOT_NULL":
        inner, reference = node(body.get("arg", {}))
        if inner == "ColumnRef":
            fields = strings(reference.get("fields"))
            return fields[-1] if fields else None
    if kind == "BoolExpr" and body.get("boolop") == "AND_EXPR":
        for argument in body.get("args", ()):
            if column := not_null_check(argument):
                return column
    return None


def _alter_table(world: World, body: Tree, conditional: bool) -> None:
    if body.get("objtype") not in (None, "OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
        return
    table = world.table(names.of_range(body.get("relation")))
    for item in body.get("cmds", ()):
        command = item.get("AlterTableCmd", {})
        subtype, name = command.get("subtype"), command.get("name", "")
        kind, definition = node(command.get("def") or {})
        if subtype == "AT_AddColumn":
            if not (command.get("missing_ok") and definition.get("colname", "") in table.columns):
                add_column(world, table, definition, guarded=bool(command.get("missing_ok")) or conditional)
        elif subtype == "AT_DropColumn":
            table.columns.pop(name, None)
        elif subtype == "AT_AlterColumnType":
            column = table.columns.setdefault(name, Column())
            column.type = type_text(definition.get("typeName"))
        elif subtype == "AT_SetNotNull":
            table.columns.setdefault(name, Column()).not_null = True
        elif subtype == "AT_DropNotNull":
            table.columns.setdefault(name, Column()).not_null = False
        elif subtype == "AT_ColumnDefault":
            table.columns.setdefault(name, Column()).calls = calls_in(command.get("def"))
        elif subtype == "AT_AddConstraint" and kind == "Constraint":
            add_constraint(world, table, definition)
            table.calls.extend(calls_in(definition.get("raw_expr")))
        elif subtype == "AT_DropConstraint":
            table.constraints.pop(name, None)
            table.indexes.pop(name, None)
        elif subtype == "AT_ValidateConstraint" and name in table.constraints and not conditional:
            table.constraints[name].is_validated = True
        elif subtype == "AT_AttachPartition":
            child = world.table(names.of_range(definition.get("name")))
            child.parent = table.name
            world.children.setdefault(table.name, []).append(child.name)
            table.is_partitioned = True
            table.is_entangled = table.is_entangled or child.age != "new"
        elif subtype == "AT_DetachPartition":
            child = world.table(names.of_range(definition.get("name")))
            child.parent = None
        elif subtype == "AT_AddInherit":
            parent = world.table(names.of_range(definition))
            table.parent = parent.name
            world.children.setdefault(parent.name, []).append(table.name)
            parent.is_entangled = parent.is_entangled or table.age != "new"


def _drop(world: World, body: Tree, conditional: bool) -> None:
    for item in body.get("objects", ()):
        kind = body.get("removeType")
        if kind in ("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"):
            parts = strings(item.get("List", {}).get("items"))
            found = world.tables.get(world.resolve(names.of_parts(parts[:-1])))
            if found and not conditional:
                (found.policies if kind == "OBJECT_POLICY" else found.triggers).pop(parts[-1], None)
                renewed.note_dropped(world, str(kind).removeprefix("OBJECT_"), found.name, parts[-1])
                if kind == "OBJECT_POLICY":
                    found.conditions.pop(parts[-1], None)
            continue
        full = world.resolve(names.of_object(item))
        if kind == "OBJECT_EVENT_TRIGGER":
            if not conditional:
                world.event_triggers.pop(full.name, None)
            continue
        if kind in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_MATVIEW"):
            world.tables.pop(full, None)
        elif kind == "OBJECT_INDEX":
            owner = world.indexes.pop(full, None)
            if owner in world.tables:
                world.tables[owner].indexes.pop(full.name, None)
        elif kind == "OBJECT_TYPE":
            labels = world.enums.pop(full, None)
            if ("TYPE", full) not in world.new_objects:
                world.dropped_types[full] = labels
        elif kind == "OBJECT_VIEW":
            world.views.pop(full, None)
        for words in _NAMED:
            world.new_objects.discard((words, full))


def _index(world: World, body: Tree, _conditional: bool) -> None:
    table = world.table(names.of_range(body.get("relation")))
    columns = [item.get("IndexElem", {}).get("name", "") for item in body.get("indexParams", ())]
    name = body.get("idxname") or f"{table.name.name}_{'_'.join(columns)}_idx"
    table.calls.extend(calls_in([body.get("indexParams"), body.get("whereClause")]))
    leading = columns[: columns.index("")] if "" in columns else columns  # before an expression
    if leading and body.get("accessMethod", "btree") in ("btree", "hash"):
        if not body.get("whereClause"):
            table.indexes[name] = tuple(leading)
        elif node(body["whereClause"])[0] == "NullTest" and not_null_check(body["whereClause"]) in leading:
            table.indexes_without_nulls[name] = tuple(leading)
    world.indexes[Name(table.name.schema, name)] = table.name
    world.add_object("INDEX", Name(table.name.schema, name))


def _function(world: World, body: Tree, text: str) -> None:
    name = world.as_made(names.of_strings(body.get("funcname")))
    made = function_of(body, text)
    others = [one for one in world.functions.get(name, ()) if not same_arguments(one.arguments, made.arguments)]
    world.functions[name] = [*others, made]
    world.unindexed.append((name, made))
    if takes_a_row(made.arguments):
        world.attributes.add(name.name)
    world.add_object("FUNCTION", name)


def _trigger(world: World, body: Tree, _conditional: bool) -> None:
    table = world.table(names.of_range(body.get("relation")))
    bits = int(body.get("events", 0))
    renewed.note_made(world, "TRIGGER", table.name, body.get("trigname", ""), body)
    events = frozenset(name for bit, name in _EVENTS if bits & bit)
    table.triggers[body.get("trigname", "")] = Trigger(
        events,
        names.of_strings(body.get("funcname")),
        columns=frozenset(strings(body.get("columns"))),
        calls=calls_in(body.get("whenClause")),
    )


def _policy(world: World, body: Tree, _conditional: bool) -> None:
    name = body.get("policy_name", "")
    table = world.table(names.of_range(body.get("table")))
    world.has_conditions = True
    if "cmd_name" in body:  # of CREATE POLICY
        renewed.note_made(world, "POLICY", table.name, name, body)
    else:
        renewed.forget(world, "POLICY", table.name, name)
    table.conditions.setdefault(name, []).extend(body[key] for key in ("qual", "with_check") if key in body)
    if calls := calls_in([body.get("qual"), body.get("with_check")]):
        policies = table.policies
        policies[name] = (*policies.get(name, ()), *calls)  # ALTER may change the one and keep the other


def _rule(world: World, body: Tree, _conditional: bool) -> None:
    table = world.table(names.of_range(body.get("relation")))
    event = RULE_EVENTS.get(body.get("event", ""), "")
    actions = tuple(body.get("actions") or ())
    table.triggers[body.get("rulename", "")] = Trigger(frozenset({event}), None, actions)


def _statistics(world: World, body: Tree, _conditional: bool) -> None:
    for item in body.get("relations", ()):
        world.statistics[world.resolve(names.of_strings(body.get("defnames")))] = world.resolve(
            names.of_range(item.get("RangeVar"))
        )


def _view(world: World, body: Tree, _conditional: bool) -> None:
    name = world.as_made(names.of_range(body.get("view")))
    world.add_view(name, body.get("query", {}))
    if not body.get("replace"):
        world.add_object("VIEW", name)


def _event_trigger(world: World, body: Tree, _conditional: bool) -> None:
    tags = [
        tag.upper()
        for item in body.get("whenclause", ())
        for tag in strings(item["DefElem"].get("arg", {}).get("List", {}).get("items"))
    ]
    function = names.of_strings(body.get("funcname"))
    world.event_triggers[body.get("trigname", "")] = EventTrigger(function, body.get("eventname", ""), frozenset(tags))


def _alter_event_trigger(world: World, body: Tree, conditional: bool) -> None:
    if body.get("tgenabled") == "D" and not conditional:
        world.event_triggers.pop(body.get("trigname", ""), None)


def _schema(world: World, body: Tree, conditional: bool) -> None:
    if not body.get("if_not_exists") and not conditional:
        world.add_object("SCHEMA", Name("", body.get("schemaname", "")))
    for item in body.get("schemaElts", ()):
        apply(world, item, "", conditional=conditional)


def _sequence(world: World, body: Tree, conditional: bool) -> None:
    if not body.get("if_not_exists") and not conditional:
        world.add_object("SEQUENCE", names.of_range(body.get("sequence")))


def _set_variable(world: World, body: Tree, _conditional: bool) -> None:
    values = [str(constant(item)) for item in body.get("args", ())]
    kind = body.get("kind", "VAR_SET_VALUE")
    if kind == "VAR_RESET_ALL":
        _reset(world)
    else:
        _set(world, body.get("name", ""), values if kind == "VAR_SET_VALUE" else None)


def _discard(world: World, body: Tree, _conditional: bool) -> None:
    if str(body.get("target", "DISCARD_ALL")) == "DISCARD_ALL":
        _reset(world)


def _reset(world: World) -> None:
    """Note that no setting holds any longer, those of anyone who runs the file neither."""
    world.settings.clear()
    world.settings.update(lock_timeout="default", statement_timeout="default")
    begin_path(world)


def begin_path(world: World) -> None:
    """Let names be found as a new session finds them."""
    world.use_path(world.own_path)


def _set(world: World, name: str, values: list[str] | None) -> None:
    key = name.lower()
    if values is None:
        world.settings[key] = "default"
    else:
        world.settings[key] = ", ".join(values)
    if key == "search_path":
        if values is None:
            begin_path(world)
        else:
            world.use_path([part.strip().strip('"') for part in ", ".join(values).split(",")])
        note_change(world)


def _prepare(world: World, body: Tree, _conditional: bool) -> None:
    world.prepared[body.get("name", "")] = body.get("query", {})


def _transaction(world: World, body: Tree, _conditional: bool) -> None:
    if body.get("kind", "").startswith("TRANS_STMT_ROLLBACK"):
        # what this file made may be gone again: nothing of it is surely new
        for table in world.tables.values():
            if table.age == "new":
                table.age = "maybe"
        world.new_objects.clear()


_CHANGES: dict[str, Callable[[World, Tree, bool], None]] = {
    "CreateStmt": _create_table, "CreateTableAsStmt": _create_table_as, "SelectStmt": _select,
    "AlterTableStmt": _alter_table, "DropStmt": _drop, "RenameStmt": rename,
    "AlterObjectSchemaStmt": set_schema, "IndexStmt": _index,
    "CreateTrigStmt": _trigger, "CreatePolicyStmt": _policy, "AlterPolicyStmt": _policy,
    "RuleStmt": _rule, "CreateStatsStmt": _statistics, "ViewStmt": _view, "CreateEnumStmt": created_types.enum,
    "AlterEnumStmt": created_types.alter_enum, "CompositeTypeStmt": created_types.composite, "CreateRangeStmt": created_types.range_type,
    "CreateCastStmt": created_types.cast, "CreateEventTrigStmt": _event_trigger,
    "AlterEventTrigStmt": _alter_event_trigger, "AlterDomainStmt": created_types.alter_domain,
    "DefineStmt": created_types.define, "CreateDomainStmt": created_types.domain, "CreateSchemaStmt": _schema, "CreateSeqStmt": _sequence,
    "VariableSetStmt": _set_variable, "DiscardStmt": _discard, "PrepareStmt": _prepare, "TransactionStmt": _transaction,
}  # fmt: skip
