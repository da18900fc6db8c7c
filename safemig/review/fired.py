"""What a statement sets off elsewhere: triggers of partitions, of tables behind a view, of referring tables, event triggers. Pure."""

from __future__ import annotations

from safemig.review.dependents import children
from safemig.review.world import EventTrigger, World
from safemig.sql import kinds
from safemig.sql.names import Name
from safemig.sql.tree import Tree, node

# What belongs to the whole cluster, or is an event trigger itself, fires no event trigger (manual, section 38.1).
_FIRES_NONE = frozenset(
    ("CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt", "GrantRoleStmt", "CreatedbStmt", "DropdbStmt",
     "AlterDatabaseStmt", "AlterDatabaseSetStmt", "AlterSystemStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt",
     "CreateEventTrigStmt", "AlterEventTrigStmt", "VacuumStmt", "CheckPointStmt", "NotifyStmt", "ListenStmt", "UnlistenStmt",
     "DiscardStmt", "ConstraintsSetStmt", "DeallocateStmt", "ClosePortalStmt", "FetchStmt")
)  # fmt: skip
_OF_CLUSTER = frozenset(
    ("OBJECT_DATABASE", "OBJECT_ROLE", "OBJECT_TABLESPACE", "OBJECT_EVENT_TRIGGER", "OBJECT_PARAMETER_ACL")
)
_REWRITES = frozenset(
    ("AT_AlterColumnType", "AT_AddColumn", "AT_SetLogged", "AT_SetUnLogged", "AT_SetAccessMethod", "AT_SetExpression")
)
_LETTERS = {"c": "", "n": "update", "d": "update"}


def below(world: World, name: Name, event: str) -> list[Name]:
    """Return the partitions and children whose own triggers a change of the table's rows fires."""
    full = world.resolve(name)
    table = world.tables.get(full)
    if table is None or full not in world.children or (event == "insert" and not table.is_partitioned):
        return []  # an INSERT goes into the parent itself, where that is no partitioned table
    return [child for child in world.children[full] if child in children(world, full)]


def cascades(world: World, name: Name, event: str) -> list[tuple[Name, str]]:
    """Return the tables whose rows change with those of the table by foreign keys, and which event that is."""
    if event not in ("delete", "update"):
        return []
    found = []
    for child, key in world.referring.get(world.resolve(name), ()):
        table = world.tables.get(child)
        constraint = table.constraints.get(key) if table else None
        letter = (constraint.on_delete if event == "delete" else constraint.on_update) if constraint else "a"
        if letter in _LETTERS:
            found.append((child, _LETTERS[letter] or event))
    return found


def view_table(view: Tree) -> Tree | None:
    """Return the one relation that a view which can be written reads from; None for other views."""
    select = view.get("SelectStmt", {})
    sources = select.get("fromClause", ())
    if len(sources) != 1 or "RangeVar" not in sources[0] or select.get("groupClause") or select.get("distinctClause"):
        return None
    found: Tree = sources[0]["RangeVar"]
    return found


def fires_at(trigger: EventTrigger, tree: Tree) -> bool:
    """Tell whether the statement fires the event trigger: its event, its command tags, and what fires none at all."""
    kind, body = node(tree)
    subject = body.get("removeType") or body.get("objtype") or body.get("objectType") or body.get("renameType")
    if kind in _FIRES_NONE or subject in _OF_CLUSTER:
        return False
    tag = kinds.kind(tree).split(" … ")[0].split(" CONCURRENTLY")[0]
    if trigger.tags and not any(
        tag == one or one.startswith(f"{tag} ") or tag.startswith(f"{one} ") for one in trigger.tags
    ):
        return False
    commands = {item.get("AlterTableCmd", {}).get("subtype") for item in body.get("cmds", ())}
    if trigger.event == "sql_drop":
        drops = {command for command in commands if str(command).startswith("AT_Drop")}
        return kind in ("DropStmt", "DropOwnedStmt") or bool(drops)
    if trigger.event == "table_rewrite":
        return bool(commands & _REWRITES)
    return trigger.event != "login"
