"""Read functions, procedures, aggregates, triggers, rules and policies."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from typing import Any

from safemig.postgres.catalog.snapshot import (
    PG_EVENT_TRIGGER,
    PG_POLICY,
    PG_PROC,
    PG_REWRITE,
    PG_TRIGGER,
    Snapshot,
    not_of_extension,
    present,
)
from safemig.schema import facts
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_name

ROUTINES = f"""
SELECT p.oid::int8, n.nspname, p.proname, oidvectortypes(p.proargtypes), p.prokind::text,
       CASE WHEN p.prokind = 'a' THEN '' ELSE pg_get_functiondef(p.oid) END, coalesce(pg_get_function_result(p.oid), '')
         || coalesce(CASE WHEN p.proargmodes && '{{o,b}}'
              THEN (SELECT '(' || string_agg(format_type(type, NULL), ', ' ORDER BY place) || ')'
                    FROM unnest(p.proallargtypes, p.proargmodes) WITH ORDINALITY AS every(type, mode, place)
                    WHERE mode IN ('o', 'b')) END, ''),
       l.lanname, p.proargnames, p.proargmodes::text[], p.pronargdefaults, pg_get_function_identity_arguments(p.oid),
       (SELECT array_agg(e.extname ORDER BY e.extname) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = {PG_PROC} AND d.objid = p.oid AND d.deptype = 'x'),
       pg_get_userbyid(p.proowner), p.proacl::text[]
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_PROC, "p.oid")}
  AND NOT EXISTS (SELECT FROM pg_depend made WHERE made.classid = {PG_PROC} AND made.objid = p.oid AND made.deptype = 'i')
"""

AGGREGATES = """
SELECT a.aggfnoid::oid::int8, a.aggkind::text, a.aggtransfn::text, format_type(a.aggtranstype, NULL), a.aggtransspace,
       nullif(a.aggfinalfn::oid, 0)::regproc::text, a.aggfinalextra, a.aggfinalmodify::text,
       nullif(a.aggcombinefn::oid, 0)::regproc::text, nullif(a.aggserialfn::oid, 0)::regproc::text,
       nullif(a.aggdeserialfn::oid, 0)::regproc::text, a.agginitval,
       nullif(a.aggmtransfn::oid, 0)::regproc::text, nullif(a.aggminvtransfn::oid, 0)::regproc::text,
       CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END, a.aggmtransspace,
       nullif(a.aggmfinalfn::oid, 0)::regproc::text, a.aggmfinalextra, a.aggmfinalmodify::text, a.aggminitval,
       CASE WHEN a.aggsortop <> 0 THEN (SELECT 'OPERATOR(' || quote_ident(sn.nspname) || '.' || so.oprname || ')'
         FROM pg_operator so JOIN pg_namespace sn ON sn.oid = so.oprnamespace WHERE so.oid = a.aggsortop) END,
       p.proparallel::text, pg_get_function_arguments(p.oid)
FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
WHERE p.pronamespace = ANY(%(namespaces)s::oid[])
"""

TRIGGERS = """
SELECT t.oid::int8, t.tgname, n.nspname, c.relname, pg_get_triggerdef(t.oid), t.tgenabled::text, t.tgconstraint <> 0,
       t.tgconstraint::int8
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relpersistence <> 't' AND c.relnamespace = ANY(%(namespaces)s::oid[])
"""

RULES = """
SELECT r.oid::int8, r.rulename, n.nspname, c.relname, c.oid::int8,
       CASE WHEN r.rulename = '_RETURN' THEN '' ELSE pg_get_ruledef(r.oid) END, r.ev_enabled::text
FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND c.relnamespace = ANY(%(namespaces)s::oid[])
"""

POLICIES = """
SELECT p.oid::int8, p.polname, n.nspname, c.relname, p.polcmd::text, p.polpermissive,
       ARRAY(SELECT CASE WHEN r = 0 THEN '' ELSE pg_get_userbyid(r) END FROM unnest(p.polroles) AS r ORDER BY 1),
       CASE WHEN p.polqual IS NOT NULL THEN coalesce(pg_get_expr(p.polqual, p.polrelid), '') END,
       CASE WHEN p.polwithcheck IS NOT NULL THEN coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') END
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relnamespace = ANY(%(namespaces)s::oid[])
"""

# An event trigger is in no schema; it is managed where its function is.
EVENT_TRIGGERS = f"""
SELECT e.oid::int8, e.evtname, e.evtevent, e.evttags, e.evtfoid::regproc::text, e.evtenabled::text, pg_get_userbyid(e.evtowner)
FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
WHERE p.pronamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_EVENT_TRIGGER, "e.oid")}
"""

_MODIFY = {"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}


# A partition's own copy of its parent's trigger may be switched on or off by itself.
TRIGGER_STATES = """
SELECT n.nspname, c.relname, t.tgname, t.tgenabled::text, pn.nspname, pc.relname, p.tgenabled::text
FROM pg_trigger t JOIN pg_trigger p ON p.oid = t.tgparentid
JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class pc ON pc.oid = p.tgrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
WHERE NOT p.tgisinternal AND t.tgenabled <> p.tgenabled AND c.relnamespace = ANY(%(namespaces)s::oid[])
"""


ROUTINE_QUERIES = (AGGREGATES, ROUTINES, TRIGGERS, TRIGGER_STATES, RULES, POLICIES, EVENT_TRIGGERS)


def read_routines(snapshot: Snapshot) -> None:
    """Read what holds code: routines, triggers, rules, policies, event triggers."""
    aggregates = {row[0]: row[1:] for row in snapshot.rows(AGGREGATES)}
    for row in snapshot.rows(ROUTINES):
        (
            oid,
            schema,
            name,
            types,
            kind,
            definition,
            result,
            language,
            names,
            modes,
            defaults,
            identity_arguments,
            extensions,
            owner,
            acl,
        ) = row
        item = Id("routine", schema, name, types)
        if kind == "a":
            definition = _aggregate(schema, name, aggregates[oid])
        snapshot.add(
            PG_PROC,
            oid,
            item,
            facts.RoutineFact(
                kind,
                present(definition, item).rstrip(),
                result,
                language,
                tuple(names or ()),
                "".join(modes or ()),
                defaults,
                identity_arguments,
                tuple(extensions or ()),
            ),
        )
        snapshot.privileges(item, acl, owner, "f")
    for oid, name, schema, table, definition, enabled, is_constraint, constraint in snapshot.rows(TRIGGERS):
        item = Id("trigger", schema, table, name)
        snapshot.add(PG_TRIGGER, oid, item, facts.TriggerFact(definition, enabled, is_constraint))
        if is_constraint:
            snapshot.objects[2606, constraint] = item
    for schema, table, name, enabled, parent_schema, parent, usual in snapshot.rows(TRIGGER_STATES):
        item = Id("trigger state", schema, table, name)
        snapshot.facts[item] = facts.TriggerStateFact(enabled, usual)
        snapshot.extra_dependencies += [
            (item, Id("table", schema, table), "a"),
            (item, Id("partition", schema, table), "n"),
            (item, Id("trigger", parent_schema, parent, name), "a"),
        ]
    for oid, name, schema, table, relation, definition, enabled in snapshot.rows(RULES):
        if name == "_RETURN":
            owner_item = snapshot.objects.get((1259, relation))
            if owner_item is not None:
                snapshot.objects[PG_REWRITE, oid] = owner_item
            continue
        item = Id("rule", schema, table, name)
        snapshot.add(
            PG_REWRITE, oid, item, facts.RuleFact(present(definition, item).rstrip().removesuffix(";"), enabled)
        )
    for oid, name, schema, table, command, permissive, roles, using, check in snapshot.rows(POLICIES):
        item = Id("policy", schema, table, name)
        for expression in (using, check):
            if expression is not None:
                present(expression, item)
        snapshot.add(PG_POLICY, oid, item, facts.PolicyFact(command, permissive, tuple(roles), using, check))
    for oid, name, event, tags, function, enabled, owner in snapshot.rows(EVENT_TRIGGERS):
        item = Id("event trigger", "", name)
        snapshot.add(PG_EVENT_TRIGGER, oid, item, facts.EventTriggerFact(event, tuple(tags or ()), function, enabled))
        snapshot.owners[item] = owner


def _aggregate(schema: str, name: str, row: tuple[Any, ...]) -> str:
    """Return the CREATE statement of an aggregate, which the server does not write itself."""
    (
        kind,
        transition,
        state,
        space,
        final,
        final_extra,
        final_modify,
        combine,
        serial,
        deserial,
        initial,
        moving,
        inverse,
        moving_state,
        moving_space,
        moving_final,
        moving_extra,
        moving_modify,
        moving_initial,
        sort_operator,
        parallel,
        arguments,
    ) = row
    usual = "w" if kind == "o" or kind == "h" else "r"
    parts: list[str] = [f"SFUNC = {transition}", f"STYPE = {state}"]
    if space:
        parts.append(f"SSPACE = {space}")
    if final:
        parts.append(f"FINALFUNC = {final}")
        if final_extra:
            parts.append("FINALFUNC_EXTRA")
        if final_modify != usual:
            parts.append(f"FINALFUNC_MODIFY = {_MODIFY[final_modify]}")
    for option, value in (("COMBINEFUNC", combine), ("SERIALFUNC", serial), ("DESERIALFUNC", deserial)):
        if value:
            parts.append(f"{option} = {value}")
    if initial is not None:
        parts.append("INITCOND = '" + initial.replace("'", "''") + "'")
    if moving:
        parts += [f"MSFUNC = {moving}", f"MINVFUNC = {inverse}", f"MSTYPE = {moving_state}"]
        if moving_space:
            parts.append(f"MSSPACE = {moving_space}")
        if moving_final:
            parts.append(f"MFINALFUNC = {moving_final}")
            if moving_extra:
                parts.append("MFINALFUNC_EXTRA")
            if moving_modify != usual:
                parts.append(f"MFINALFUNC_MODIFY = {_MODIFY[moving_modify]}")
        if moving_initial is not None:
            parts.append("MINITCOND = '" + moving_initial.replace("'", "''") + "'")
    if sort_operator:
        parts.append(f"SORTOP = {sort_operator}")
    if kind == "h":
        parts.append("HYPOTHETICAL")
    if parallel != "u":
        parts.append("PARALLEL = " + {"s": "SAFE", "r": "RESTRICTED"}[parallel])
    inner = ",\n    ".join(parts)
    return f"CREATE OR REPLACE AGGREGATE {quote_name(schema, name)}({arguments or '*'}) (\n    {inner}\n)"
