"""Every kind of object that is modelled; a new kind is a class here and a reader in `postgres/catalog`."""

from __future__ import annotations

from safemig.schema.kinds.base import Kind
from safemig.schema.kinds.columns import Column, Default
from safemig.schema.kinds.constraints import Constraint, Index
from safemig.schema.kinds.namespaces import Extension, IdentitySequence, SchemaKind, Sequence, SequenceOwner
from safemig.schema.kinds.others import OTHER_KINDS
from safemig.schema.kinds.routines import EventTrigger, Policy, Routine, Rule, Trigger, TriggerState
from safemig.schema.kinds.tables import Cluster, Inheritance, Partition, ReplicaIdentity, Table
from safemig.schema.kinds.types import BaseType, Composite, Domain, DomainConstraint, Enum, Range
from safemig.schema.kinds.views import MaterializedView, View

_CLASSES: tuple[type[Kind], ...] = (
    SchemaKind,
    Extension,
    Enum,
    Domain,
    DomainConstraint,
    Composite,
    Range,
    BaseType,
    Sequence,
    SequenceOwner,
    IdentitySequence,
    Table,
    Column,
    Default,
    Constraint,
    Index,
    Partition,
    Inheritance,
    ReplicaIdentity,
    Cluster,
    View,
    MaterializedView,
    Routine,
    Trigger,
    TriggerState,
    Rule,
    Policy,
    EventTrigger,
    *OTHER_KINDS,
)

KINDS: dict[str, Kind] = {kind.name: kind() for kind in _CLASSES}
