"""What belongs to an extension, read from the catalogs of a database that has it. Reads only.

Every query runs with an empty search_path, so that each name comes out qualified.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from safemig.postgres.connection import Connection

_MEMBER = """
WITH member AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = %(extension)s)
"""
EXTENSION = """
SELECT extname AS name, extversion AS version, n.nspname AS schema, extrelocatable AS relocatable,
       obj_description(e.oid, 'pg_extension') AS comment,
       ARRAY(SELECT needed.extname::text FROM pg_depend d JOIN pg_extension needed ON needed.oid = d.refobjid
             WHERE d.classid = 'pg_extension'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_extension'::regclass) AS requires,
       coalesce(extconfig, '{}')::oid[]::text[] AS config, coalesce(extcondition, '{}') AS conditions
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = %(extension)s
"""
SCHEMAS = """
SELECT quote_ident(nspname) AS name FROM pg_namespace n JOIN member ON objid = n.oid AND classid = 'pg_namespace'::regclass
"""
TYPES = """
SELECT t.oid::int8 AS oid, format('%%I.%%I', n.nspname, t.typname) AS name, t.typtype::text AS kind, t.typlen AS length,
       t.typbyval AS by_value, t.typalign::text AS alignment, t.typstorage::text AS storage, t.typcategory::text AS category,
       t.typispreferred AS preferred, t.typdelim::text AS delimiter, t.typcollation <> 0 AS collatable,
       t.typinput::oid::int8 AS input, t.typoutput::oid::int8 AS output, t.typreceive::oid::int8 AS receive,
       t.typsend::oid::int8 AS send, t.typmodin::oid::int8 AS modifier_in, t.typmodout::oid::int8 AS modifier_out,
       t.typdefault AS default,
       (SELECT bool_and(l.lanname = 'internal') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.oid IN (t.typinput, t.typoutput)) AS is_real,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base, t.typnotnull AS not_null,
       ARRAY(SELECT quote_literal(enumlabel) FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) AS labels,
       (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid) AS subtype,
       ARRAY(SELECT format('%%I %%s', attname, format_type(atttypid, atttypmod)) FROM pg_attribute
             WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS attributes,
       CASE WHEN t.typmodin <> 0 THEN
         ARRAY(SELECT DISTINCT substring(format_type(a.atttypid, a.atttypmod) FROM '\\(.*\\)') FROM pg_attribute a
               WHERE a.atttypid IN (t.oid, t.typarray) AND a.atttypmod >= 0) END AS modifiers
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN member ON objid = t.oid AND classid = 'pg_type'::regclass
WHERE t.typtype IN ('b', 'e', 'd', 'r') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
   OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
ORDER BY t.oid
"""
DOMAIN_CHECKS = """
SELECT format('%%I.%%I', n.nspname, t.typname) AS domain, format('%%I', k.conname) AS name, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN member ON objid = t.oid AND classid = 'pg_type'::regclass WHERE k.contype = 'c' ORDER BY k.oid
"""
FUNCTIONS = """
SELECT p.oid::int8 AS oid, format('%%I.%%I', n.nspname, p.proname) AS name, p.proname AS plain, l.lanname AS language,
       p.prokind::text AS kind,
       p.prosrc AS source, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_identity_arguments(p.oid) AS identity,
       array_to_string(ARRAY(SELECT format_type(a, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY u (a, n) ORDER BY n), ', ') AS types,
       pg_get_function_result(p.oid) AS result, p.provolatile::text AS volatility, p.proisstrict AS strict,
       p.proparallel::text AS parallel, p.proretset AS returns_set, p.proargmodes && '{o,b,t}'::"char"[] AS has_outputs,
       p.prorettype::regtype::text AS returns, p.proargtypes::oid[]::int8[] || p.prorettype::int8 AS type_oids,
       EXISTS (SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype) u (a) JOIN pg_type t ON t.oid = u.a
               WHERE t.typtype = 'p' AND t.typname NOT IN ('record', 'void', 'trigger', 'event_trigger')
                 AND t.typname !~ '^any(element|array|nonarray|enum|range|multirange|compatible)') AS is_low_level,
       CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END AS definition
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass
WHERE NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i') ORDER BY p.oid
"""
AGGREGATES = """
SELECT p.oid::regprocedure::text AS name, a.aggtransfn::regproc::text AS step, format_type(a.aggtranstype, NULL) AS state,
       CASE WHEN a.aggfinalfn <> 0 THEN a.aggfinalfn::regproc::text END AS final, a.agginitval AS initial,
       a.aggkind = 'n' AS is_plain
FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass ORDER BY p.oid
"""
CASTS = """
SELECT format_type(castsource, NULL) AS source, format_type(casttarget, NULL) AS target,
       castmethod::text AS method, castcontext::text AS context,
       castsource::int8 AS source_oid, casttarget::int8 AS target_oid,
       CASE WHEN castfunc <> 0 THEN castfunc::regprocedure::text END AS function
FROM pg_cast c JOIN member ON objid = c.oid AND classid = 'pg_cast'::regclass
WHERE NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_cast'::regclass AND i.objid = c.oid AND i.deptype = 'i') ORDER BY c.oid
"""
OPERATORS = """
SELECT o.oid::int8 AS oid, quote_ident(n.nspname) AS schema, o.oprname AS name,
       CASE WHEN oprleft <> 0 THEN format_type(oprleft, NULL) END AS left, format_type(oprright, NULL) AS right,
       oprcode::regproc::text AS function, oprcanmerge AS merges, oprcanhash AS hashes,
       (SELECT format('OPERATOR(%%I.%%s)', cn.nspname, c.oprname) FROM pg_operator c JOIN pg_namespace cn ON cn.oid = c.oprnamespace
        WHERE c.oid = o.oprcom) AS commutator,
       (SELECT format('OPERATOR(%%I.%%s)', cn.nspname, c.oprname) FROM pg_operator c JOIN pg_namespace cn ON cn.oid = c.oprnamespace
        WHERE c.oid = o.oprnegate) AS negator
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
JOIN member ON objid = o.oid AND classid = 'pg_operator'::regclass WHERE oprcode <> 0 ORDER BY o.oid
"""
# Each class with what it compares one type with itself by.
CLASSES = """
SELECT format('%%I.%%I', n.nspname, c.opcname) AS name, format_type(c.opcintype, NULL) AS type, c.opcintype::int8 AS type_oid,
       c.opcdefault AS is_default, a.amname AS method,
       EXISTS (SELECT FROM member m WHERE m.classid = 'pg_am'::regclass AND m.objid = a.oid) AS own_method,
       (SELECT t.typlen FROM pg_type t WHERE t.oid = c.opcintype) AS length,
       ARRAY(SELECT ARRAY[o.amopstrategy::text, format('%%I.%%s', pn.nspname, p.oprname), p.oprcode::oid::text]
             FROM pg_amop o JOIN pg_operator p ON p.oid = o.amopopr JOIN pg_namespace pn ON pn.oid = p.oprnamespace
             WHERE o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype
             ORDER BY o.amopstrategy) AS operators,
       ARRAY(SELECT ARRAY[s.amprocnum::text, s.amproc::regprocedure::text, s.amproc::oid::text]
             FROM pg_amproc s WHERE s.amprocfamily = c.opcfamily AND s.amproclefttype = c.opcintype
             AND s.amprocrighttype = c.opcintype ORDER BY s.amprocnum) AS functions
FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am a ON a.oid = c.opcmethod
JOIN member ON objid = c.oid AND classid = 'pg_opclass'::regclass ORDER BY c.oid
"""
METHODS = """
SELECT quote_ident(amname) AS name, amtype::text AS kind
FROM pg_am a JOIN member ON objid = a.oid AND classid = 'pg_am'::regclass ORDER BY a.oid
"""
LANGUAGES = """
SELECT quote_ident(lanname) AS name, lanpltrusted AS trusted, lanplcallfoid::regproc::text AS handler
FROM pg_language l JOIN member ON objid = l.oid AND classid = 'pg_language'::regclass ORDER BY l.oid
"""
WRAPPERS = """
SELECT quote_ident(fdwname) AS name FROM pg_foreign_data_wrapper w
JOIN member ON objid = w.oid AND classid = 'pg_foreign_data_wrapper'::regclass ORDER BY w.oid
"""
RELATIONS = """
SELECT c.oid::int8 AS oid, format('%%I.%%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
       ARRAY(SELECT format('%%I %%s%%s', attname, format_type(atttypid, atttypmod),
                           CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
                           || CASE attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
                                               WHEN 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' ELSE '' END)
             FROM pg_attribute a WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns,
       ARRAY(SELECT format('ALTER COLUMN %%I SET DEFAULT %%s', attname, pg_get_expr(adbin, adrelid)) FROM pg_attrdef d
             JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
             WHERE adrelid = c.oid AND a.attgenerated = '') AS defaults,
       ARRAY(SELECT format('ADD CONSTRAINT %%I %%s', conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k
             WHERE k.conrelid = c.oid AND contype IN ('p', 'u', 'c', 'f') ORDER BY contype = 'f', k.oid) AS constraints,
       CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END AS view
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN member ON objid = c.oid AND classid = 'pg_class'::regclass
WHERE c.relkind IN ('r', 'p', 'S', 'v')
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_class'::regclass AND i.objid = c.oid AND i.deptype = 'i')
ORDER BY c.oid
"""
# Rows that its own script made and a dump leaves out; none where we may not read them, or there are very many.
MAY_READ = "SELECT has_table_privilege(%s::oid, 'SELECT'), reltuples FROM pg_class WHERE oid = %s::oid"
_MOST_ROWS = 20_000


class Members:
    """The extension `name` as `source` has it."""

    def __init__(self, source: Connection, name: str) -> None:
        self._source = source
        self.name = name

    def ask(self, question: str) -> list[dict[str, Any]]:
        """Return the rows that answer one of this module's questions."""
        with self._source.cursor(row_factory=dict_row) as cursor:
            return cursor.execute((_MEMBER + question).encode(), {"extension": self.name}).fetchall()

    def own_rows(self, table: str, oid: int, condition: str | None) -> list[str]:
        """Return the rows, as text of the table's row type, that a dump leaves out: of a table of configuration those
        that `condition` does not name, of another one all."""
        may_read, about = self._source.execute(MAY_READ, (oid, oid)).fetchone() or (False, 0)
        if not may_read or about > _MOST_ROWS or condition == "":
            return []
        where = f"WHERE ({condition.strip()[5:]}) IS NOT TRUE" if condition else ""
        query = f"SELECT quote_literal(t::text) FROM {table} t {where} LIMIT {_MOST_ROWS}"  # noqa: S608 - names of its own catalog
        try:
            with self._source.transaction():
                return [row for (row,) in self._source.execute(query.encode())]
        except psycopg.Error:  # a row security policy, a function of its own that fails
            return []


@contextmanager
def names_qualified(source: Connection) -> Iterator[None]:
    """Let every name come out qualified, for the length of the block."""
    with source.transaction(force_rollback=True):
        source.execute(sql.SQL("SET LOCAL search_path = ''"))
        yield
