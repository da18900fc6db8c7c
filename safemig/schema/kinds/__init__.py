"""Every kind of object that is modelled; a new kind is a module with its class, and a line here."""

from __future__ import annotations

from safemig.schema.kinds.base import Kind
from safemig.schema.kinds.belongings import Attribute, ConstraintIndex, NotNullConstraint
from safemig.schema.kinds.columns import Column
from safemig.schema.kinds.configuration import ConfigurationRow
from safemig.schema.kinds.constraints import Constraint, Index
from safemig.schema.kinds.defaults import Default
from safemig.schema.kinds.foreign import Server, UserMapping, Wrapper
from safemig.schema.kinds.namespaces import Extension, IdentitySequence, SchemaKind, Sequence, SequenceOwner
from safemig.schema.kinds.others import (
    AccessMethod,
    Cast,
    Collation,
    Conversion,
    Language,
    Operator,
    OperatorClass,
    OperatorFamily,
    Statistics,
    Transform,
)
from safemig.schema.kinds.parameters import ParameterPrivileges
from safemig.schema.kinds.partitions import Inheritance, Partition
from safemig.schema.kinds.privileges import DefaultPrivileges, MemberPrivileges
from safemig.schema.kinds.replication import Publication, PublicationSchema, PublicationTable, Subscription
from safemig.schema.kinds.routines import EventTrigger, Policy, Routine, Rule, Trigger, TriggerState
from safemig.schema.kinds.tables import Cluster, ReplicaIdentity, Table
from safemig.schema.kinds.text_search import (
    TextSearchConfiguration,
    TextSearchDictionary,
    TextSearchParser,
    TextSearchTemplate,
)
from safemig.schema.kinds.types import BaseType, Composite, Domain, DomainConstraint, Enum, EnumValue, Range
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
    DefaultPrivileges,
    MemberPrivileges,
    Statistics,
    Publication,
    PublicationTable,
    PublicationSchema,
    Subscription,
    Wrapper,
    Server,
    UserMapping,
    Conversion,
    Cast,
    Operator,
    OperatorFamily,
    OperatorClass,
    Collation,
    Language,
    AccessMethod,
    Transform,
    TextSearchParser,
    TextSearchTemplate,
    TextSearchDictionary,
    TextSearchConfiguration,
    ConfigurationRow,
    ParameterPrivileges,
    Attribute,
    ConstraintIndex,
    NotNullConstraint,
    EnumValue,
)

KINDS: dict[str, Kind] = {kind.name: kind() for kind in _CLASSES}
