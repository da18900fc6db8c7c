"""Read from a target what the review wants to know: sizes, columns, indexes, constraints, code, and what needs what."""

from __future__ import annotations

# ruff: noqa: S608  (the queries are put together from constants of this module)
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from safemig.postgres.platforms import platform_of
from safemig.review.facts import (
    ColumnFacts,
    ConstraintFacts,
    EventTriggerFacts,
    FunctionFacts,
    IndexFacts,
    TableFacts,
    TargetFacts,
    TriggerFacts,
)

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_OF_NO_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')"
)


Calls = dict[tuple[int, str], dict[str, tuple[str, ...]]]  # (relation, kind): owner: the functions that it calls


def _part(column: str) -> str:
    return f"""CASE WHEN {column} ~ '[."]' THEN '"' || replace({column}, '"', '""') || '"' ELSE {column}::text END"""


def _dotted(schema: str, name: str) -> str:
    """Return SQL for a name as `TargetFacts` spells it."""
    return f"CASE WHEN {schema} = 'public' THEN '' ELSE {_part(schema)} || '.' END || {_part(name)}"


_NAME = _dotted("n.nspname", "c.relname")

SERVER = """
SELECT current_setting('server_version_num')::int, current_setting('TimeZone'),
       ARRAY(SELECT DISTINCT coalesce(pg_get_userbyid(nullif(a.grantee, 0))::text, 'PUBLIC')
             FROM pg_default_acl d, aclexplode(d.defaclacl) a
             WHERE d.defaclobjtype = 'r' AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
               AND (d.defaclnamespace = 0 OR d.defaclnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public'))),
       (SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::int FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')
"""
# What a session of the role begins with, whatever this one has set; schemas that are not there are passed over.
SEARCH_PATH = """
SELECT ARRAY(SELECT n.nspname::text FROM (
    SELECT place, CASE trim(part, ' "') WHEN '$user' THEN current_user::text ELSE trim(part, ' "') END AS name
    FROM pg_settings, regexp_split_to_table(reset_val, ',') WITH ORDINALITY AS of_path (part, place) WHERE pg_settings.name = 'search_path'
  ) path JOIN pg_namespace n ON n.nspname = path.name WHERE n.nspname <> 'pg_catalog' ORDER BY place)
"""

# reltuples is -1 where the table was never analysed; the partitioned parent's size is that of its partitions.
RELATIONS = f"""
SELECT c.oid::int8, {_NAME}, c.relkind::text, c.reltuples::float8,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::int8 FROM pg_partition_tree(c.oid) t)
            WHEN c.relkind IN ('r', 'm') THEN pg_total_relation_size(c.oid) ELSE 0 END,
       (SELECT {_dotted("pn.nspname", "p.relname")}
        FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1),
       (SELECT {_dotted("dn.nspname", "d.relname")}
        FROM pg_partitioned_table t JOIN pg_class d ON d.oid = t.partdefid JOIN pg_namespace dn ON dn.oid = d.relnamespace
        WHERE t.partrelid = c.oid),
       (SELECT s.n_tup_ins + s.n_tup_upd + s.n_tup_del FROM pg_stat_user_tables s WHERE s.relid = c.oid)::float8
         / nullif((SELECT extract(epoch FROM now() - coalesce(d.stats_reset, b.stats_reset))
                   FROM pg_stat_database d, pg_stat_bgwriter b WHERE d.datname = current_database()), 0)::float8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't' AND {_OURS}
"""
COLUMNS = f"""
SELECT a.attrelid::int8, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef OR a.attidentity <> '', s.null_frac
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {_OURS} ORDER BY a.attrelid, a.attnum
"""
INDEXES = f"""
SELECT i.indrelid::int8, x.relname, i.indisunique, i.indisvalid, i.indpred IS NOT NULL, coalesce(s.idx_scan, 0)::int8,
       CASE WHEN i.indexprs IS NULL THEN
         ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
               WHERE k.place <= i.indnkeyatts ORDER BY k.place) END
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
WHERE {_OURS}
"""
CONSTRAINTS = f"""
SELECT k.conrelid::int8, k.conname, k.contype::text, pg_get_constraintdef(k.oid), k.convalidated,
       (SELECT {_dotted("pn.nspname", "p.relname")}
        FROM pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE p.oid = k.confrelid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
"""
TRIGGERS = f"""
SELECT t.tgrelid::int8, t.tgname, t.tgtype::int, t.tgenabled <> 'D',
       {_dotted("fn.nspname", "p.proname")},
       ARRAY(SELECT a.attname::text FROM unnest(t.tgattr::int2[]) AS k (attnum)
             JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = k.attnum)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace fn ON fn.oid = p.pronamespace
WHERE NOT t.tgisinternal AND {_OURS}
"""
# What CREATE gives by itself is what ALTER DEFAULT PRIVILEGES says for anyone who deploys, else PostgreSQL's own defaults.
_GIVEN_BY_DEFAULT = """
  SELECT grantee, privilege_type, is_grantable FROM aclexplode(coalesce(
    (SELECT d.defaclacl FROM pg_default_acl d
     WHERE d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND d.defaclobjtype = '{kind}' AND d.defaclnamespace = 0),
    acldefault('{kind}', {owner})))
  UNION SELECT grantee, privilege_type, is_grantable FROM pg_default_acl d, aclexplode(d.defaclacl)
  WHERE d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
    AND d.defaclobjtype = '{kind}' AND d.defaclnamespace = n.oid"""
_ROLE = "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"
_OPTION = "CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
_PROCEDURE = "CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END"
_OF_FUNCTION = _GIVEN_BY_DEFAULT.format(kind="f", owner="p.proowner")
_ACL_OF_FUNCTION = (
    "SELECT grantee, privilege_type, is_grantable FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))"
)
_FUNCTION_EXTRAS = f"""
  SELECT format('GRANT EXECUTE ON %s %s TO %s%s;', {_PROCEDURE}, p.oid::regprocedure, {_ROLE}, {_OPTION})
  FROM ({_ACL_OF_FUNCTION} EXCEPT ({_OF_FUNCTION})) lost WHERE grantee <> p.proowner
  UNION ALL SELECT format('REVOKE EXECUTE ON %s %s FROM %s;', {_PROCEDURE}, p.oid::regprocedure, {_ROLE})
  FROM (({_OF_FUNCTION}) EXCEPT {_ACL_OF_FUNCTION}) opened WHERE grantee <> p.proowner
  UNION ALL SELECT format('COMMENT ON %s %s IS %L;', {_PROCEDURE}, p.oid::regprocedure, d.description)
  FROM pg_description d WHERE d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid
  ORDER BY 1"""
FUNCTIONS = f"""
SELECT {_dotted("n.nspname", "p.proname")}, l.lanname, p.prosrc,
       pg_get_functiondef(p.oid), p.provolatile::text,
       ARRAY(SELECT format_type(one.type, NULL) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS one (type, place) ORDER BY place),
       p.pronargdefaults::int, p.provariadic <> 0, ARRAY({_FUNCTION_EXTRAS})
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE p.prokind IN ('f', 'p') AND {_OURS} AND {_OF_NO_EXTENSION}
"""
# Which functions run by themselves when a row of a table is read or written, or a view is read: what hangs on them by
# pg_depend, which leaves PostgreSQL's own functions out.
CALLS = f"""
SELECT found.relation::int8, found.kind, found.name::text, {_dotted("n.nspname", "p.proname")}
FROM (
  SELECT polrelid AS relation, 'policy' AS kind, polname AS name, oid, 'pg_policy'::regclass AS catalog, 0::oid AS beside FROM pg_policy
  UNION ALL SELECT tgrelid, 'trigger', tgname, oid, 'pg_trigger'::regclass, tgfoid FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT d.adrelid, CASE a.attgenerated WHEN '' THEN 'default' ELSE 'check' END, a.attname, d.oid, 'pg_attrdef'::regclass, 0
    FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  UNION ALL SELECT conrelid, 'check', conname, oid, 'pg_constraint'::regclass, 0 FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0
  UNION ALL SELECT indrelid, 'check', '', indexrelid, 'pg_class'::regclass, 0 FROM pg_index
  UNION ALL SELECT ev_class, 'view', '', r.oid, 'pg_rewrite'::regclass, 0
    FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class WHERE v.relkind IN ('v', 'm') AND r.ev_type = '1'
) found
JOIN pg_depend d ON d.classid = found.catalog AND d.objid = found.oid AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc p ON p.oid = d.refobjid AND p.oid <> found.beside JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {_OURS} AND {_OF_NO_EXTENSION}
ORDER BY 1, 2, 3, 4
"""
VIEWS = f"""
SELECT c.oid::int8, {_NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {_OURS}
"""
VIEW_EXTRAS = f"""
SELECT {_NAME}, ARRAY(
  SELECT format('GRANT %s ON %s TO %s%s;', string_agg(privilege_type, ', ' ORDER BY privilege_type), c.oid::regclass, {_ROLE}, {_OPTION})
  FROM (SELECT grantee, privilege_type, is_grantable FROM aclexplode(c.relacl)
        EXCEPT ({_GIVEN_BY_DEFAULT.format(kind="r", owner="c.relowner")})) lost
  WHERE grantee <> c.relowner GROUP BY grantee, is_grantable
  UNION ALL SELECT format('GRANT %s (%s) ON %s TO %s%s;', privilege_type, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
                          c.oid::regclass, {_ROLE}, {_OPTION})
  FROM pg_attribute a, aclexplode(a.attacl) WHERE a.attrelid = c.oid AND NOT a.attisdropped GROUP BY privilege_type, grantee, is_grantable
  UNION ALL SELECT format('COMMENT ON %s %s IS %L;',
                          CASE WHEN d.objsubid > 0 THEN 'COLUMN' WHEN c.relkind = 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END,
                          c.oid::regclass || coalesce('.' || quote_ident(a.attname), ''), d.description)
  FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
  WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
  UNION ALL SELECT pg_get_triggerdef(t.oid) || ';' FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
  UNION ALL SELECT pg_get_indexdef(i.indexrelid) || ';' FROM pg_index i WHERE i.indrelid = c.oid
  ORDER BY 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm', 'S') AND {_OURS}
"""
RULES = f"""
SELECT r.ev_class::int8, r.rulename, pg_get_ruledef(r.oid)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_type <> '1' AND r.ev_enabled <> 'D' AND {_OURS}
"""
STATISTICS = f"""
SELECT {_dotted("n.nspname", "s.stxname")}, {_dotted("cn.nspname", "c.relname")}
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN pg_class c ON c.oid = s.stxrelid
JOIN pg_namespace cn ON cn.oid = c.relnamespace WHERE {_OURS}
"""
# Those of extensions and of the platform act on what is theirs; of a function whose code is not read nothing is said.
EVENT_TRIGGERS = f"""
SELECT e.evtname, {_dotted("n.nspname", "p.proname")}, e.evtevent, coalesce(e.evttags, '{{}}')
FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE e.evtenabled IN ('O', 'A') AND {_OURS}
"""
ENUMS = f"""
SELECT {_dotted("n.nspname", "t.typname")},
       array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {_OURS} GROUP BY 1
"""
CONSTRAINED_DOMAINS = f"""
SELECT {_dotted("n.nspname", "t.typname")}
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'd' AND {_OURS} AND (t.typnotnull OR EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid))
"""
# Views by their rewrite rules, foreign keys, partitions and children: what a CASCADE would take or change.
DEPENDENTS = f"""
SELECT d.refobjid::int8, CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || v.oid::regclass::text
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.refclassid = 'pg_class'::regclass AND v.oid <> d.refobjid AND {_OURS}
UNION
SELECT k.confrelid::int8, 'foreign key ' || quote_ident(k.conname) || ' of ' || k.conrelid::regclass::text
FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
UNION
SELECT i.inhparent::int8, CASE WHEN p.relispartition THEN 'partition ' ELSE 'child ' END || p.oid::regclass::text
FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid WHERE p.relkind IN ('r', 'p', 'f')
ORDER BY 1, 2
"""

# What hangs on one column: a view, a policy or a trigger that names it, as pg_depend knows them.
COLUMN_USERS = f"""
SELECT d.refobjid::int8, a.attname, u.words FROM (
  SELECT 'pg_rewrite'::regclass AS catalog, r.oid, v.oid AS own,
         CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || v.oid::regclass AS words
  FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class WHERE v.relkind IN ('v', 'm')
  UNION ALL SELECT 'pg_policy'::regclass, oid, 0, 'policy ' || quote_ident(polname) || ' of ' || polrelid::regclass FROM pg_policy
  UNION ALL SELECT 'pg_trigger'::regclass, oid, 0, 'trigger ' || quote_ident(tgname) FROM pg_trigger WHERE NOT tgisinternal
) u JOIN pg_depend d ON d.classid = u.catalog AND d.objid = u.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> u.own
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

_KINDS = {"r": "table", "p": "table", "m": "materialized view", "f": "foreign table"}
_EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))  # TRIGGER_TYPE_* in pg_trigger.h
_VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}
_NOT_NULL_CHECK = re.compile(r'CHECK \(\((?P<column>[a-z_][a-z0-9_$]*|"(?:[^"]|"")+") IS NOT NULL\)\)')
_NOT_NULL = re.compile(r'NOT NULL (?P<column>[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")')


def read_target_facts(connection: psycopg.Connection[Any], name: str) -> TargetFacts:
    """Return what the review wants to know of the database; `name` is how it is shown.

    Reads only, by nineteen queries whatever the size of the schema. Sizes take ACCESS SHARE on each table for a moment,
    so set `lock_timeout` where someone may hold ACCESS EXCLUSIVE.
    """

    def rows(query: str) -> list[Any]:
        return connection.execute(query.encode(), prepare=False).fetchall()

    [(version, time_zone, granted_by_default, oldest_transaction_s)] = rows(SERVER)
    [(search_path,)] = rows(SEARCH_PATH)
    calls = _calls(rows(CALLS))
    return TargetFacts(
        server_version_num=version,
        name=name,
        tables=_tables(rows, calls),
        functions=_functions(rows(FUNCTIONS)),
        enums={enum: tuple(labels) for enum, labels in rows(ENUMS)},
        constrained_domains=frozenset(domain for (domain,) in rows(CONSTRAINED_DOMAINS)),
        views={view: calls[oid, "view"][""] for oid, view in rows(VIEWS) if calls[oid, "view"]},
        view_extras={view: tuple(extras) for view, extras in rows(VIEW_EXTRAS)},
        statistics=dict(rows(STATISTICS)),
        event_triggers={
            trigger: EventTriggerFacts(function, event, frozenset(tags))
            for trigger, function, event, tags in rows(EVENT_TRIGGERS)
        },
        read_at=datetime.now(UTC),
        time_zone=time_zone,
        search_path=tuple(search_path),
        oldest_transaction_s=oldest_transaction_s,
        platform=platform_of(connection).name,
        granted_by_default=frozenset(granted_by_default),
    )


def _calls(found: list[Any]) -> Calls:
    calls: Calls = defaultdict(dict)
    for relation, kind, owner, function in found:
        of_kind = calls[relation, kind]
        of_kind[owner] = (*of_kind.get(owner, ()), function)
    return calls


def _tables(rows: Callable[[str], list[Any]], calls: Calls) -> dict[str, TableFacts]:
    columns = _columns(rows, calls)
    indexes: dict[int, dict[str, IndexFacts]] = defaultdict(dict)
    for relation, index, unique, valid, partial, scans, keys in rows(INDEXES):
        indexes[relation][index] = IndexFacts(tuple(keys or ()), unique, valid, partial, scans)
    constraints: dict[int, dict[str, ConstraintFacts]] = defaultdict(dict)
    for relation, constraint, kind, definition, validated, references in rows(CONSTRAINTS):
        constraints[relation][constraint] = ConstraintFacts(kind, definition, validated, references)
    triggers: dict[int, dict[str, TriggerFacts]] = defaultdict(dict)
    for relation, trigger, bits, enabled, function, of_columns in rows(TRIGGERS):
        events = frozenset(event for bit, event in _EVENTS if bits & bit)
        of_when = calls[relation, "trigger"].get(trigger, ())
        triggers[relation][trigger] = TriggerFacts(events, function, frozenset(of_columns), enabled, of_when)
    rules: dict[int, dict[str, str]] = defaultdict(dict)
    for relation, rule, definition in rows(RULES):
        rules[relation][rule] = definition
    dependents: dict[int, list[str]] = defaultdict(list)
    for relation, words in rows(DEPENDENTS):
        dependents[relation].append(words)
    return {
        dotted: TableFacts(
            rows_estimate=None if estimate < 0 else round(estimate),
            size_bytes=size,
            columns=columns[relation],
            indexes=indexes[relation],
            constraints=constraints[relation],
            triggers=triggers[relation],
            not_null_checks=_not_null_columns(constraints[relation]),
            is_partitioned=kind == "p",
            parent=parent,
            default_partition=default,
            dependents=tuple(dependents[relation]),
            kind=_KINDS[kind],
            policies=calls[relation, "policy"],
            calls=tuple(one for called in calls[relation, "check"].values() for one in called),
            rules=rules[relation],
            writes_per_second=writes,
        )
        for relation, dotted, kind, estimate, size, parent, default, writes in rows(RELATIONS)
    }


def _columns(rows: Callable[[str], list[Any]], calls: Calls) -> dict[int, dict[str, ColumnFacts]]:
    users: dict[tuple[int, str], list[str]] = defaultdict(list)
    for relation, column, words in rows(COLUMN_USERS):
        users[relation, column].append(words)
    columns: dict[int, dict[str, ColumnFacts]] = defaultdict(dict)
    for relation, column, kind, not_null, has_default, null_fraction in rows(COLUMNS):
        of_default = calls[relation, "default"].get(column, ())
        columns[relation][column] = ColumnFacts(
            kind, not_null, has_default, of_default, null_fraction, tuple(users.get((relation, column), ()))
        )
    return columns


def _functions(found: list[Any]) -> dict[str, tuple[FunctionFacts, ...]]:
    functions: dict[str, tuple[FunctionFacts, ...]] = {}
    for function, language, source, definition, volatility, arguments, optional, is_variadic, extras in found:
        made = FunctionFacts(
            language,
            source,
            definition,
            _VOLATILITY[volatility],
            tuple(arguments),
            optional,
            is_variadic,
            tuple(extras),
        )
        functions[function] = (*functions.get(function, ()), made)
    return functions


def _not_null_columns(constraints: dict[str, ConstraintFacts]) -> frozenset[str]:
    """Return the columns that a validated CHECK (or, from PostgreSQL 18, a NOT NULL constraint) keeps from NULL."""
    found = set()
    for constraint in constraints.values():
        pattern = {"c": _NOT_NULL_CHECK, "n": _NOT_NULL}.get(constraint.kind)
        match = pattern.fullmatch(constraint.definition) if pattern else None
        if match and constraint.is_validated:
            found.add(match["column"].strip('"').replace('""', '"'))
    return frozenset(found)
