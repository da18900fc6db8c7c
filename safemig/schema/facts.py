"""What is compared of each kind of object: one named tuple a kind, filled by `safemig.postgres.catalog`.

Everything is a plain, hashable value; texts that stand for expressions are the server's own deparsed form, with
every name qualified.
"""

from __future__ import annotations

from typing import NamedTuple

from safemig.schema.model import Id

Options = tuple[tuple[str, str], ...]


class SchemaFact(NamedTuple):
    pass


class ExtensionFact(NamedTuple):
    schema: str
    relocatable: bool


class EnumFact(NamedTuple):
    labels: tuple[str, ...]


class DomainFact(NamedTuple):
    base: str
    collation: str
    default: str | None
    not_null: bool
    not_null_name: str = ""  # PostgreSQL 18 and later, where it is not the name that the server chooses


class DomainConstraintFact(NamedTuple):
    definition: str


class RangeFact(NamedTuple):
    options: Options


class CompositeFact(NamedTuple):
    attributes: tuple[tuple[str, str, str], ...]  # name, type, collation


class BaseTypeFact(NamedTuple):
    options: Options  # empty for a shell type


class SequenceOptions(NamedTuple):
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool


class TableFact(NamedTuple):
    relkind: str  # r ordinary, p partitioned, f foreign
    persistence: str  # p permanent, u unlogged
    options: Options
    access_method: str
    tablespace: str
    row_security: bool
    force_row_security: bool
    of_type: str
    partition_key: str
    server: str
    foreign_options: Options


class ColumnFact(NamedTuple):
    type: str
    collation: str
    not_null: bool
    identity: str  # '' or a (always) or d (by default)
    identity_sequence: tuple[str, str, SequenceOptions, str] | None  # schema, name, options, persistence
    generated: str  # '' or s (stored) or v (virtual)
    storage: str
    compression: str
    statistics: int
    options: Options
    foreign_options: Options
    is_local: bool
    inherited: bool
    not_null_name: str  # PostgreSQL 18 and later, where it is not the name that the server chooses
    not_null_no_inherit: bool
    not_null_not_valid: bool
    not_null_local: bool = True  # False where a child table has it from its parent alone


def not_null_name(item: Id, fact: ColumnFact | DomainFact) -> str:
    """Return the name of a column's not-null constraint, also where it is the one that the server chooses."""
    return fact.not_null_name or usual_not_null_name(item)


def usual_not_null_name(item: Id) -> str:
    """Return the name that the server chooses for a column's not-null constraint, where it is free and short enough."""
    return "_".join(filter(None, (item.name, item.sub, "not_null")))


class DefaultFact(NamedTuple):
    expression: str


class ConstraintFact(NamedTuple):
    type: str  # p u x f c t(constraint trigger: never) n(18)
    definition: str
    is_local: bool
    inherited: bool
    parent: str  # the constraint of the partitioned table that this one belongs to
    options: Options  # of the backing index
    tablespace: str
    columns: tuple[str, ...]


class IndexFact(NamedTuple):
    table: str
    table_schema: str
    definition: str
    is_valid: bool
    parent_schema: str  # the index of the partitioned table that this one belongs to
    parent: str
    statistics: tuple[tuple[int, int], ...]
    tablespace: str


class PartitionFact(NamedTuple):
    parent_schema: str
    parent: str
    bound: str


class InheritanceFact(NamedTuple):
    parent_schema: str
    parent: str
    position: int


class ReplicaIdentityFact(NamedTuple):
    mode: str  # n nothing, f full, i index
    by: str  # the index


class ClusterFact(NamedTuple):
    by: str  # the index


class SequenceFact(NamedTuple):
    options: SequenceOptions
    persistence: str


class SequenceOwnerFact(NamedTuple):
    table_schema: str
    table: str
    column: str


class ViewFact(NamedTuple):
    definition: str
    options: Options
    columns: tuple[tuple[str, str, str], ...]  # name, type, collation


class MaterializedViewFact(NamedTuple):
    definition: str
    options: Options
    access_method: str
    tablespace: str
    populated: bool
    columns: tuple[tuple[str, str, str], ...]


class RoutineFact(NamedTuple):
    routine: str  # f function, p procedure, w window function, a aggregate
    definition: str
    result: str
    language: str
    argument_names: tuple[str, ...]
    argument_modes: str
    defaults: int
    identity_arguments: str
    depends_on_extensions: tuple[str, ...]


class TriggerFact(NamedTuple):
    definition: str
    enabled: str
    constraint: bool


class TriggerStateFact(NamedTuple):
    enabled: str
    usual: str  # what its parent's is


class RuleFact(NamedTuple):
    definition: str
    enabled: str


class PolicyFact(NamedTuple):
    command: str
    permissive: bool
    roles: tuple[str, ...]
    using: str | None
    check: str | None


class EventTriggerFact(NamedTuple):
    event: str
    tags: tuple[str, ...]
    function: str
    enabled: str


class StatisticsFact(NamedTuple):
    definition: str
    target: int


class PublicationFact(NamedTuple):
    all_tables: bool
    options: Options


class PublicationTableFact(NamedTuple):
    schema: str
    table: str
    columns: tuple[str, ...]
    where: str | None


class PublicationSchemaFact(NamedTuple):
    schema: str


class SubscriptionFact(NamedTuple):
    connection: str
    publications: tuple[str, ...]
    enabled: bool
    options: Options


class WrapperFact(NamedTuple):
    handler: str
    validator: str
    options: Options


class ServerFact(NamedTuple):
    wrapper: str
    type: str
    version: str
    options: Options


class UserMappingFact(NamedTuple):
    options: Options


class DefinedFact(NamedTuple):
    """An object that is only ever created and dropped: its whole CREATE statement."""

    definition: str


class TextSearchFact(NamedTuple):
    """A text search dictionary or configuration: what it is made from, and what can be altered."""

    base: str
    options: Options


class CollationFact(NamedTuple):
    options: Options


class MemberPrivilegesFact(NamedTuple):
    """Privileges on an extension's or PostgreSQL's own object that differ from those that it came with."""

    target: str  # what stands behind GRANT ... ON
    letter: str  # its type, as pg_default_acl writes it
    owner: str
    usual: tuple[tuple[str, str, bool], ...]
    grants: tuple[tuple[str, str, bool], ...]


class ConfigurationRowFact(NamedTuple):
    """A row that the project's settings count as configuration; values are literals of SQL."""

    key: tuple[str, ...]  # the columns that tell it from others
    columns: tuple[str, ...]
    values: tuple[str, ...]
    form: str  # "" for INSERT, "cron" for pg_cron's own functions

    def value(self, column: str) -> str:
        """Return the literal of one column."""
        return self.values[self.columns.index(column)]


class DefaultPrivilegesFact(NamedTuple):
    grants: tuple[tuple[str, str, bool], ...]
