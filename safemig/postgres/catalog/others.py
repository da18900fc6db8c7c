"""Read the rarer kinds: foreign data, replication, statistics, collations, casts, operators, text search, languages."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from typing import Any

from safemig.postgres.catalog.operators import OPERATOR_QUERIES, read_operators
from safemig.postgres.catalog.snapshot import (
    PG_AM,
    PG_CAST,
    PG_COLLATION,
    PG_CONVERSION,
    PG_FOREIGN_DATA_WRAPPER,
    PG_FOREIGN_SERVER,
    PG_LANGUAGE,
    PG_PUBLICATION,
    PG_PUBLICATION_NAMESPACE,
    PG_PUBLICATION_REL,
    PG_STATISTIC_EXT,
    PG_SUBSCRIPTION,
    PG_TRANSFORM,
    PG_TS_CONFIG,
    PG_TS_DICT,
    PG_TS_PARSER,
    PG_TS_TEMPLATE,
    PG_USER_MAPPING,
    Snapshot,
    generic_options,
    not_of_extension,
)
from safemig.postgres.pretences import real_collation
from safemig.schema import facts
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name

WRAPPERS = f"""
SELECT w.oid::int8, w.fdwname, CASE WHEN w.fdwhandler <> 0 THEN w.fdwhandler::regproc::text ELSE '' END,
       CASE WHEN w.fdwvalidator <> 0 THEN w.fdwvalidator::regproc::text ELSE '' END, w.fdwoptions,
       pg_get_userbyid(w.fdwowner), w.fdwacl::text[]
FROM pg_foreign_data_wrapper w WHERE {not_of_extension(PG_FOREIGN_DATA_WRAPPER, "w.oid")}
"""

SERVERS = f"""
SELECT s.oid::int8, s.srvname, w.fdwname, coalesce(s.srvtype, ''), coalesce(s.srvversion, ''), s.srvoptions,
       pg_get_userbyid(s.srvowner), s.srvacl::text[]
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE {not_of_extension(PG_FOREIGN_SERVER, "s.oid")}
"""

# Options hold passwords, and are shown only to those who may see them (manual, section 53.36, "pg_user_mappings").
USER_MAPPINGS = """
SELECT m.umid::int8, m.srvname, CASE WHEN m.umuser = 0 THEN '' ELSE m.usename END, m.umoptions,
       m.umoptions IS NULL AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
         AND NOT CASE WHEN m.umuser = 0 THEN pg_has_role(s.srvowner, 'USAGE')
                 ELSE m.usename = current_user
                   AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) END
FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid
"""

STATISTICS = f"""
SELECT s.oid::int8, n.nspname, s.stxname, pg_get_statisticsobjdef(s.oid), coalesce(s.stxstattarget, -1), pg_get_userbyid(s.stxowner)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_STATISTIC_EXT, "s.oid")}
"""

PUBLICATIONS = "SELECT p.oid::int8, p.pubname, to_jsonb(p), pg_get_userbyid(p.pubowner) FROM pg_publication p"

PUBLICATION_TABLES = """
SELECT r.oid::int8, p.pubname, n.nspname, c.relname, {columns}, {where}
FROM pg_publication_rel r
JOIN pg_publication p ON p.oid = r.prpubid
JOIN pg_class c ON c.oid = r.prrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_PUBLISHED_COLUMNS = """(SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
  WHERE a.attrelid = r.prrelid AND a.attnum = ANY(r.prattrs::int2[]))"""

PUBLICATION_SCHEMAS = """
SELECT x.oid::int8, p.pubname, n.nspname FROM pg_publication_namespace x
JOIN pg_publication p ON p.oid = x.pnpubid JOIN pg_namespace n ON n.oid = x.pnnspid
"""

SUBSCRIPTIONS = """
SELECT s.oid::int8, s.subname, s.subconninfo, s.subpublications, to_jsonb(s), pg_get_userbyid(s.subowner)
FROM pg_subscription s WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
SUBSCRIPTION_NAMES = """
SELECT s.subname FROM pg_subscription s WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

COLLATIONS = f"""
SELECT c.oid::int8, n.nspname, c.collname, to_jsonb(c), pg_get_userbyid(c.collowner), obj_description(c.oid, 'pg_collation')
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_COLLATION, "c.oid")}
"""

CONVERSIONS = f"""
SELECT c.oid::int8, n.nspname, c.conname, pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding),
       c.conproc::regproc::text, c.condefault, pg_get_userbyid(c.conowner)
FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE c.connamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_CONVERSION, "c.oid")}
"""

CASTS = f"""
SELECT c.oid::int8, format_type(c.castsource, NULL), format_type(c.casttarget, NULL),
       CASE WHEN c.castfunc <> 0 THEN c.castfunc::regprocedure::text END, c.castcontext::text, c.castmethod::text
FROM pg_cast c WHERE c.oid >= 16384 AND {not_of_extension(PG_CAST, "c.oid")}
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = {PG_CAST} AND d.objid = c.oid AND d.deptype = 'i')
"""

TEXT_SEARCH_PARSERS = f"""
SELECT p.oid::int8, n.nspname, p.prsname, p.prsstart::text, p.prstoken::text, p.prsend::text,
       CASE WHEN p.prsheadline <> 0 THEN p.prsheadline::text END, p.prslextype::text
FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace
WHERE p.prsnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_TS_PARSER, "p.oid")}
"""

TEXT_SEARCH_TEMPLATES = f"""
SELECT t.oid::int8, n.nspname, t.tmplname, CASE WHEN t.tmplinit <> 0 THEN t.tmplinit::text END, t.tmpllexize::text
FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace
WHERE t.tmplnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_TS_TEMPLATE, "t.oid")}
"""

TEXT_SEARCH_DICTIONARIES = f"""
SELECT d.oid::int8, n.nspname, d.dictname, tn.nspname, t.tmplname, coalesce(d.dictinitoption, ''), pg_get_userbyid(d.dictowner)
FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
JOIN pg_ts_template t ON t.oid = d.dicttemplate JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
WHERE d.dictnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_TS_DICT, "d.oid")}
"""

TEXT_SEARCH_CONFIGURATIONS = f"""
SELECT c.oid::int8, n.nspname, c.cfgname, pn.nspname, p.prsname, pg_get_userbyid(c.cfgowner),
       (SELECT jsonb_agg(jsonb_build_array(alias, dictionaries) ORDER BY alias) FROM (
          SELECT (SELECT t.alias FROM ts_token_type(c.cfgparser) t WHERE t.tokid = m.maptokentype) AS alias,
                 string_agg(m.mapdict::regdictionary::text, ', ' ORDER BY m.mapseqno) AS dictionaries
          FROM pg_ts_config_map m WHERE m.mapcfg = c.oid GROUP BY m.maptokentype) mapping)
FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace
WHERE c.cfgnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_TS_CONFIG, "c.oid")}
"""

LANGUAGES = f"""
SELECT l.oid::int8, l.lanname, l.lanpltrusted, CASE WHEN l.lanplcallfoid <> 0 THEN l.lanplcallfoid::regproc::text END,
       CASE WHEN l.laninline <> 0 THEN l.laninline::regproc::text END,
       CASE WHEN l.lanvalidator <> 0 THEN l.lanvalidator::regproc::text END, pg_get_userbyid(l.lanowner), l.lanacl::text[]
FROM pg_language l WHERE l.oid >= 16384 AND {not_of_extension(PG_LANGUAGE, "l.oid")}
"""

# The built-in plpgsql belongs to its extension, but its privileges are the database's own.
ACCESS_METHODS = f"""
SELECT a.oid::int8, a.amname, a.amtype::text, a.amhandler::regproc::text
FROM pg_am a WHERE a.oid >= 16384 AND {not_of_extension(PG_AM, "a.oid")}
"""

TRANSFORMS = f"""
SELECT t.oid::int8, format_type(t.trftype, NULL), l.lanname,
       CASE WHEN t.trffromsql <> 0 THEN t.trffromsql::regprocedure::text END,
       CASE WHEN t.trftosql <> 0 THEN t.trftosql::regprocedure::text END
FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE {not_of_extension(PG_TRANSFORM, "t.oid")}
"""


def other_queries(version: int, *, subscriptions: bool) -> tuple[str, ...]:
    """Return what `read_others` asks a server of `version`; `subscriptions`: whether this role may read them whole."""
    return (
        WRAPPERS, SERVERS, USER_MAPPINGS, PUBLICATIONS, _publication_tables(version),
        *((PUBLICATION_SCHEMAS,) if version >= 150000 else ()),
        SUBSCRIPTIONS if subscriptions else SUBSCRIPTION_NAMES,
        TEXT_SEARCH_PARSERS, TEXT_SEARCH_TEMPLATES, TEXT_SEARCH_DICTIONARIES, TEXT_SEARCH_CONFIGURATIONS,
        LANGUAGES, ACCESS_METHODS, TRANSFORMS, *OPERATOR_QUERIES, STATISTICS, COLLATIONS, CONVERSIONS, CASTS,
    )  # fmt: skip


def _publication_tables(version: int) -> str:
    modern = version >= 150000
    return PUBLICATION_TABLES.format(
        columns=_PUBLISHED_COLUMNS if modern else "NULL", where="pg_get_expr(r.prqual, r.prrelid)" if modern else "NULL"
    )


def read_others(snapshot: Snapshot) -> None:
    """Read the rarer kinds."""
    _read_foreign(snapshot)
    _read_replication(snapshot)
    _read_text_search(snapshot)
    _read_languages(snapshot)
    read_operators(snapshot)
    for oid, schema, name, definition, number, owner in snapshot.rows(STATISTICS):
        item = Id("statistics", schema, name)
        snapshot.add(PG_STATISTIC_EXT, oid, item, facts.StatisticsFact(definition, number))
        snapshot.owners[item] = owner
    for oid, schema, name, row, owner, comment in snapshot.rows(COLLATIONS):
        item = Id("collation", schema, name)
        snapshot.add(PG_COLLATION, oid, item, facts.CollationFact(_collation_options(real_collation(comment) or row)))
        snapshot.owners[item] = owner
    for oid, schema, name, source, destination, function, is_default, owner in snapshot.rows(CONVERSIONS):
        item = Id("conversion", schema, name)
        word = "DEFAULT " if is_default else ""
        snapshot.add(
            PG_CONVERSION,
            oid,
            item,
            facts.DefinedFact(
                f"CREATE {word}CONVERSION {quote_name(schema, name)} FOR '{source}' TO '{destination}' FROM {function}"
            ),
        )
        snapshot.owners[item] = owner
    for oid, source, destination, function, context, method in snapshot.rows(CASTS):
        how = {"f": f"WITH FUNCTION {function}", "i": "WITH INOUT", "b": "WITHOUT FUNCTION"}[method]
        when = {"e": "", "a": " AS ASSIGNMENT", "i": " AS IMPLICIT"}[context]
        snapshot.add(
            PG_CAST,
            oid,
            Id("cast", "", "", f"({source} AS {destination})"),
            facts.DefinedFact(f"CREATE CAST ({source} AS {destination}) {how}{when}"),
        )


def _collation_options(row: dict[str, Any]) -> facts.Options:
    provider = {"c": "libc", "i": "icu", "b": "builtin", "d": "default"}[row["collprovider"]]
    locale = row.get("colllocale") or row.get("colliculocale")
    collate, ctype = row.get("collcollate"), row.get("collctype")
    found = [("provider", provider)]
    if locale is not None:
        found.append(("locale", quote_literal(locale).strip()))
    elif collate is not None and collate == ctype:
        found.append(("locale", quote_literal(collate).strip()))
    else:
        found += [
            ("lc_collate", quote_literal(collate or "").strip()),
            ("lc_ctype", quote_literal(ctype or "").strip()),
        ]
    if not row.get("collisdeterministic", True):
        found.append(("deterministic", "false"))
    if row.get("collicurules"):
        found.append(("rules", quote_literal(row["collicurules"]).strip()))
    return tuple(found)


def _read_foreign(snapshot: Snapshot) -> None:
    for oid, name, handler, validator, said, owner, acl in snapshot.rows(WRAPPERS):
        item = Id("foreign data wrapper", "", name)
        snapshot.add(PG_FOREIGN_DATA_WRAPPER, oid, item, facts.WrapperFact(handler, validator, generic_options(said)))
        snapshot.privileges(item, acl, owner, "F")
    for oid, name, wrapper, type_, version, said, owner, acl in snapshot.rows(SERVERS):
        item = Id("server", "", name)
        snapshot.add(PG_FOREIGN_SERVER, oid, item, facts.ServerFact(wrapper, type_, version, generic_options(said)))
        snapshot.privileges(item, acl, owner, "s")
    for oid, server, user, said, hidden in snapshot.rows(USER_MAPPINGS):
        item = Id("user mapping", "", server, user)
        if hidden:
            snapshot.unseen[item] = f"the options of the user mapping of {user or 'PUBLIC'} on server {server}"
            continue
        snapshot.add(PG_USER_MAPPING, oid, item, facts.UserMappingFact(generic_options(said)))


def _read_replication(snapshot: Snapshot) -> None:
    for oid, name, row, owner in snapshot.rows(PUBLICATIONS):
        item = Id("publication", "", name)
        publish = ", ".join(word for word in ("insert", "update", "delete", "truncate") if row[f"pub{word}"])
        said = [("publish", publish)]
        if row.get("pubviaroot"):
            said.append(("publish_via_partition_root", "true"))
        if row.get("pubgencols") == "s":
            said.append(("publish_generated_columns", "stored"))
        snapshot.add(PG_PUBLICATION, oid, item, facts.PublicationFact(row["puballtables"], tuple(said)))
        snapshot.owners[item] = owner
    for oid, publication, schema, table, columns, where in snapshot.rows(_publication_tables(snapshot.version)):
        item = Id("publication table", "", publication, quote_name(schema, table))
        snapshot.add(
            PG_PUBLICATION_REL, oid, item, facts.PublicationTableFact(schema, table, tuple(columns or ()), where)
        )
    if snapshot.version >= 150000:
        for oid, publication, schema in snapshot.rows(PUBLICATION_SCHEMAS):
            item = Id("publication schema", "", publication, quote_identifier(schema))
            snapshot.add(PG_PUBLICATION_NAMESPACE, oid, item, facts.PublicationSchemaFact(schema))
            snapshot.extra_dependencies.append((item, Id("schema", "", schema), "a"))
    if SUBSCRIPTION_NAMES in snapshot.sent:
        for (name,) in snapshot.rows(SUBSCRIPTION_NAMES):
            snapshot.unseen[Id("subscription", "", name)] = f"the subscription {name}"
        return
    for oid, name, connection, publications, row, owner in snapshot.rows(SUBSCRIPTIONS):
        item = Id("subscription", "", name)
        snapshot.add(
            PG_SUBSCRIPTION,
            oid,
            item,
            facts.SubscriptionFact(connection, tuple(sorted(publications)), True, _subscription_options(row)),
        )
        snapshot.owners[item] = owner


def _subscription_options(row: dict[str, Any]) -> facts.Options:
    slot = row.get("subslotname")
    said = [("slot_name", "NONE" if slot is None else quote_literal(slot).strip())]
    if row.get("subbinary"):
        said.append(("binary", "true"))
    streaming = {True: "on", "t": "on", "p": "parallel", False: "off", "f": "off"}.get(
        row.get("substream", False), "off"
    )
    said.append(("streaming", streaming))
    if row.get("subsynccommit") != "off":
        said.append(("synchronous_commit", quote_literal(row["subsynccommit"]).strip()))
    if row.get("subtwophasestate", "d") != "d":
        said.append(("two_phase", "on"))
    if row.get("subdisableonerr"):
        said.append(("disable_on_error", "true"))
    if row.get("suborigin", "any") != "any":
        said.append(("origin", row["suborigin"]))
    if row.get("subpasswordrequired") is False:
        said.append(("password_required", "false"))
    if row.get("subrunasowner"):
        said.append(("run_as_owner", "true"))
    if row.get("subfailover"):
        said.append(("failover", "true"))
    return tuple(said)


def _read_text_search(snapshot: Snapshot) -> None:
    for oid, schema, name, start, token, end, headline, lextypes in snapshot.rows(TEXT_SEARCH_PARSERS):
        parts = [f"START = {start}", f"GETTOKEN = {token}", f"END = {end}", f"LEXTYPES = {lextypes}"]
        if headline:
            parts.append(f"HEADLINE = {headline}")
        snapshot.add(
            PG_TS_PARSER,
            oid,
            Id("text search parser", schema, name),
            facts.DefinedFact(f"CREATE TEXT SEARCH PARSER {quote_name(schema, name)} (\n    {_lines(parts)}\n)"),
        )
    for oid, schema, name, init, lexize in snapshot.rows(TEXT_SEARCH_TEMPLATES):
        parts = ([f"INIT = {init}"] if init else []) + [f"LEXIZE = {lexize}"]
        snapshot.add(
            PG_TS_TEMPLATE,
            oid,
            Id("text search template", schema, name),
            facts.DefinedFact(f"CREATE TEXT SEARCH TEMPLATE {quote_name(schema, name)} (\n    {_lines(parts)}\n)"),
        )
    for oid, schema, name, template_schema, template, said, owner in snapshot.rows(TEXT_SEARCH_DICTIONARIES):
        item = Id("text search dictionary", schema, name)
        snapshot.add(
            PG_TS_DICT,
            oid,
            item,
            facts.TextSearchFact(quote_name(template_schema, template), (("", said),) if said else ()),
        )
        snapshot.owners[item] = owner
    for oid, schema, name, parser_schema, parser, owner, mappings in snapshot.rows(TEXT_SEARCH_CONFIGURATIONS):
        item = Id("text search configuration", schema, name)
        pairs = tuple((token, dictionaries) for token, dictionaries in mappings or ())
        snapshot.add(PG_TS_CONFIG, oid, item, facts.TextSearchFact(quote_name(parser_schema, parser), pairs))
        snapshot.owners[item] = owner


def _read_languages(snapshot: Snapshot) -> None:
    for oid, name, trusted, handler, inline, validator, owner, acl in snapshot.rows(LANGUAGES):
        item = Id("language", "", name)
        sql = f"CREATE {'TRUSTED ' if trusted else ''}LANGUAGE {quote_identifier(name)}"
        sql += f" HANDLER {handler}" if handler else ""
        sql += f" INLINE {inline}" if inline else ""
        sql += f" VALIDATOR {validator}" if validator else ""
        snapshot.add(PG_LANGUAGE, oid, item, facts.DefinedFact(sql))
        snapshot.privileges(item, acl, owner, "l")
    for oid, name, kind, handler in snapshot.rows(ACCESS_METHODS):
        word = "TABLE" if kind == "t" else "INDEX"
        snapshot.add(
            PG_AM,
            oid,
            Id("access method", "", name),
            facts.DefinedFact(f"CREATE ACCESS METHOD {quote_identifier(name)} TYPE {word} HANDLER {handler}"),
        )
    for oid, type_name, language, from_sql, to_sql in snapshot.rows(TRANSFORMS):
        parts = ([f"FROM SQL WITH FUNCTION {from_sql}"] if from_sql else []) + (
            [f"TO SQL WITH FUNCTION {to_sql}"] if to_sql else []
        )
        snapshot.add(
            PG_TRANSFORM,
            oid,
            Id("transform", "", "", f"FOR {type_name} LANGUAGE {quote_identifier(language)}"),
            facts.DefinedFact(
                f"CREATE TRANSFORM FOR {type_name} LANGUAGE {quote_identifier(language)} ({', '.join(parts)})"
            ),
        )


def _lines(parts: list[str]) -> str:
    return ",\n    ".join(parts)
