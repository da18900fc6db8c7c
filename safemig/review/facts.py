"""What is known of the database that the migrations will meet, as plain facts; `safemig.postgres.target_facts` reads them.

Where functions are named that something calls, those of extensions and PostgreSQL's own are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safemig.review.questions import Question


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column: its type as `format_type()` spells it."""

    type: str
    not_null: bool = False
    has_default: bool = False
    calls: tuple[str, ...] = ()  # the functions that its default calls
    null_fraction: float | None = None  # by the planner's statistics
    users: tuple[str, ...] = ()  # the views, policies and triggers that need it, in words


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """One index; `columns` is empty where it is over expressions. `is_valid` is False after a failed CONCURRENTLY."""

    columns: tuple[str, ...]
    is_unique: bool = False
    is_valid: bool = True
    is_partial: bool = False
    scans: int = 0


@dataclass(frozen=True, slots=True)
class ConstraintFacts:
    """One constraint: `kind` is pg_constraint.contype (c, f, p, u, x, n); `definition` as the server prints it."""

    kind: str
    definition: str
    is_validated: bool = True
    references: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """One trigger: the events that fire it (`insert`, `update`, `delete`, `truncate`) and its function."""

    events: frozenset[str]
    function: str
    columns: frozenset[str] = frozenset()  # UPDATE OF these only; empty: any
    is_enabled: bool = True
    calls: tuple[str, ...] = ()  # the functions that its WHEN calls


@dataclass(frozen=True, slots=True)
class EventTriggerFacts:
    """One event trigger that is enabled: its function, its event, and the command tags that it is for (none: all)."""

    function: str
    event: str
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table: the planner's estimate of its rows (None when it was never analysed), its size with indexes."""

    rows_estimate: int | None
    size_bytes: int
    columns: Mapping[str, ColumnFacts] = field(default_factory=dict)
    indexes: Mapping[str, IndexFacts] = field(default_factory=dict)
    constraints: Mapping[str, ConstraintFacts] = field(default_factory=dict)
    triggers: Mapping[str, TriggerFacts] = field(default_factory=dict)
    not_null_checks: frozenset[str] = frozenset()  # columns with a validated CHECK (column IS NOT NULL)
    is_partitioned: bool = False
    parent: str | None = None
    default_partition: str | None = None
    dependents: tuple[str, ...] = ()  # views, foreign keys and rules that need this table, in words
    kind: str = "table"  # table, view, materialized view, foreign table, sequence
    policies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # those that call functions, and which
    calls: tuple[str, ...] = ()  # the functions that its checks, generated columns and indexes call
    rules: Mapping[str, str] = field(default_factory=dict)  # what pg_get_ruledef() says
    writes_per_second: float | None = None  # rows, on average since the statistics were reset


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """One function that is no extension's and not PostgreSQL's own; `arguments` are its input arguments' types."""

    language: str
    source: str
    definition: str = ""  # what pg_get_functiondef() says
    volatility: str = "volatile"
    arguments: tuple[str, ...] = ()
    optional: int = 0  # how many of the last arguments have defaults
    is_variadic: bool = False
    extras: tuple[str, ...] = ()  # as `TargetFacts.view_extras` has them


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What was read from the target, and when.

    Names are dotted, `public` is left out; a part that holds a dot or a quote is quoted: `app."a.b"`.
    """

    server_version_num: int
    name: str
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    functions: Mapping[str, tuple[FunctionFacts, ...]] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constrained_domains: frozenset[str] = frozenset()
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # those that call functions, and which
    # Each view, and each sequence, from which can be read as well.
    # View -> what is gone when it is dropped and re-created, as statements: its grants, comments, triggers, indexes
    view_extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: Mapping[str, str] = field(default_factory=dict)  # extended statistics -> their table
    event_triggers: Mapping[str, EventTriggerFacts] = field(default_factory=dict)
    read_at: datetime | None = None
    time_zone: str | None = None
    platform: str = ""  # whose database it is, such as Supabase
    search_path: tuple[str, ...] = ()  # the schemas of the deploying role's search path that are there
    oldest_transaction_s: int | None = None  # the longest that a transaction of another session is open already
    answers: Mapping[Question, int] = field(default_factory=dict)
    configuration_tables: frozenset[tuple[str, str]] = frozenset()  # (schema, table) of the setting configuration_rows
    granted_by_default: frozenset[str] = frozenset()  # the roles that a new table in public is granted to
