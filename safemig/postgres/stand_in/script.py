"""The script of a stand-in: SQL that makes an extension's objects again, without its library.

What is real: enums, domains, tables with their rows, views, functions in SQL and PL/pgSQL, types whose functions are
PostgreSQL's own. What is not: a type of the library holds its text, compared by its bytes; a function of the library
raises STAND_IN_CALLED, or gives NULL where `safemig.stand_ins` is "silent" (while a copy is restored); an access method
of the library keeps no entry and is never used by a query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from safemig.postgres.stand_in import members
from safemig.postgres.stand_in.members import Members

STAND_IN_CALLED = "SM001"
# The prefix of an access method that stands for one of PostgreSQL's own, where a class of the extension is not real.
PRETENDED = "safemig_"
_NOT_MADE_TYPE = "language_handler_in"  # raises whatever it is given: "cannot accept a value of type language_handler"
_WITHOUT_LIBRARY = (
    "cannot accept a value of type language_handler",
    "is not available",  # an extension that neither this server nor the database has
    "has no installation script nor update path",
    "has no update path from version",
)
_BYTEA = {"1": "bytealt", "2": "byteale", "3": "byteaeq", "4": "byteage", "5": "byteagt"}
_BTREE, _HASH = {"1": "byteacmp"}, {"1": "hashvarlena", "2": "hashvarlenaextended"}
# What PostgreSQL can do itself, by extension and function.
_KNOWN = {
    ("uuid-ossp", "uuid_generate_v4"): "SELECT pg_catalog.gen_random_uuid()",
    ("uuid-ossp", "uuid_nil"): "SELECT '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid",
    ("uuid-ossp", "uuid_ns_dns"): "SELECT '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid",
    ("uuid-ossp", "uuid_ns_url"): "SELECT '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid",
    ("uuid-ossp", "uuid_ns_oid"): "SELECT '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid",
    ("uuid-ossp", "uuid_ns_x500"): "SELECT '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::pg_catalog.uuid",
}
# The same of functions whose answer takes more than an expression, by their number of arguments: what of pg_cron
# keeps its jobs. No job of a copy ever runs: what runs them is not there.
_KNOWN_BODIES = {
    ("pg_cron", "schedule", 3): """
BEGIN
  INSERT INTO cron.job (schedule, command, jobname, username) VALUES ($2, $3, $1, session_user)
  ON CONFLICT (jobname, username) DO UPDATE SET schedule = EXCLUDED.schedule, command = EXCLUDED.command;
  RETURN (SELECT jobid FROM cron.job j WHERE j.jobname = $1 AND j.username = session_user);
END""",
    ("pg_cron", "unschedule", 1): """
BEGIN
  DELETE FROM cron.job j WHERE $1::text IN (j.jobname, j.jobid::text) AND j.username = session_user;
  RETURN FOUND;
END""",
    ("pg_cron", "alter_job", 6): """
BEGIN
  UPDATE cron.job j SET schedule = coalesce($2, j.schedule), command = coalesce($3, j.command), database = coalesce($4, j.database),
    username = coalesce($5, j.username), active = coalesce($6, j.active) WHERE j.jobid = $1 AND j.username = session_user;
END""",
}
KNOWN_FUNCTIONS = tuple(f"{extension}:{function}" for extension, function in _KNOWN)
_VOLATILITY = {"i": "IMMUTABLE", "s": "STABLE", "v": "VOLATILE"}
_PARALLEL = {"s": "SAFE", "r": "RESTRICTED", "u": "UNSAFE"}
# As PostGIS writes them, whatever was written (ST_GeometryType; PostGIS 3.5, geometry_typmod_out).
_WORDS = tuple(
    shape + dimensions
    for shape in (
        "Geometry", "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection",
        "CircularString", "CompoundCurve", "CurvePolygon", "MultiCurve", "MultiSurface", "PolyhedralSurface", "Triangle", "Tin",
    )
    for dimensions in ("", "Z", "M", "ZM")
)  # fmt: skip
# A modifier is the OID of an enum's label, so that every text comes back as it was: geometry(Point,4326).
_MODIFIERS = """
CREATE TYPE {labels} AS ENUM ({known});
CREATE FUNCTION {labels}(label text) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $stand_in$
DECLARE found integer;
BEGIN
  SELECT e.oid::int8::integer INTO found FROM pg_catalog.pg_enum e
  WHERE e.enumtypid = '{labels}'::pg_catalog.regtype AND pg_catalog.lower(e.enumlabel) = pg_catalog.lower(label);
  IF found IS NULL THEN
    EXECUTE pg_catalog.format('ALTER TYPE {labels} ADD VALUE %L', label);
    SELECT e.oid::int8::integer INTO found FROM pg_catalog.pg_enum e
    WHERE e.enumtypid = '{labels}'::pg_catalog.regtype AND e.enumlabel = label;
  END IF;
  RETURN found;
END $stand_in$;
CREATE FUNCTION {modifier_in}(modifiers cstring[]) RETURNS integer LANGUAGE plpgsql STABLE STRICT AS $stand_in$
BEGIN
  RETURN {labels}((SELECT '(' || pg_catalog.string_agg(coalesce(w.word, m.word::text), ',' ORDER BY m.n) || ')'
                   FROM pg_catalog.unnest(modifiers::text[]) WITH ORDINALITY AS m (word, n)
                   LEFT JOIN pg_catalog.unnest('{{{words}}}'::text[]) AS w (word) ON pg_catalog.lower(w.word) = pg_catalog.lower(m.word)));
END $stand_in$;
CREATE FUNCTION {modifier_out}(integer) RETURNS cstring LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'enum_out';
"""
# Noted for the catalogs alone: what keeps no entries has no use for them.
_OPTIONS = """
CREATE FUNCTION {function}(index regclass, options text[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
$stand_in$ UPDATE pg_catalog.pg_class SET reloptions = options WHERE oid = index $stand_in$
"""
_STUB = """
CREATE {word} {name}({arguments}){returns} LANGUAGE plpgsql {properties}AS $stand_in$
BEGIN
  IF pg_catalog.current_setting('safemig.stand_ins', true) = 'silent' THEN {silent}; END IF;
  RAISE EXCEPTION USING ERRCODE = 'SM001', MESSAGE = {message};
END $stand_in$
"""


@dataclass(frozen=True, slots=True)
class StandIn:
    """An extension to be made on a copy: its two files, and what the copy's access methods are called instead."""

    name: str
    version: str
    schema: str
    control: str
    script: str
    methods: Mapping[str, str]  # for its part of `Pretences`: see there
    classes: Mapping[str, str]
    defaults: Mapping[str, str]


def write_stand_in(extension: Members) -> StandIn:
    """Return the stand-in of an extension, from the catalogs of the database that has it."""
    (facts,) = extension.ask(members.EXTENSION)
    script = _Script(extension, facts)
    statements = [statement.strip().rstrip(";") for statement in script.statements()]
    requires = f"requires = '{', '.join(facts['requires'])}'\n" if facts["requires"] else ""
    # Its comment, too: a control file gives it to the extension that it makes.
    comment = "comment = '{}'\n".format(facts["comment"].replace("'", "''")) if facts["comment"] else ""
    control = (
        f"{comment}default_version = '{facts['version']}'\nrelocatable = false\nschema = '{facts['schema']}'\n"
        f"trusted = true\n{requires}"
    )
    return StandIn(
        extension.name, facts["version"], facts["schema"], control, ";\n".join(statements) + ";\n",
        script.methods, script.classes, script.defaults,
    )  # fmt: skip


def needs_what_is_real(error: psycopg.Error) -> bool:
    """Tell whether a statement failed because a library is not there: it called a stand-in, or wanted an extension."""
    return error.sqlstate == STAND_IN_CALLED or any(words in str(error) for words in _WITHOUT_LIBRARY)


class _Script:
    """One extension's statements, in an order in which each finds what it needs."""

    def __init__(self, extension: Members, facts: dict[str, Any]) -> None:
        self._ask = extension.ask
        self._extension = extension
        self._facts = facts
        self._types = extension.ask(members.TYPES)
        self._functions = extension.ask(members.FUNCTIONS)
        self._by_oid = {each["oid"]: each for each in self._functions}
        self._classes = extension.ask(members.CLASSES)
        self._made: set[int] = set()
        self._textual = {each["oid"] for each in self._types if each["kind"] == "b" and not each["is_real"]}
        self._bytewise = self._bytewise_functions()
        self._tag = re.sub(r"\W", "_", extension.name)
        self._schema = _quoted(facts["schema"])
        self.methods: dict[str, str] = {}
        self.classes: dict[str, str] = {}
        self.defaults: dict[str, str] = {}

    def statements(self) -> Iterator[str]:
        yield "SET LOCAL check_function_bodies = off"
        yield "SET LOCAL safemig.stand_ins = 'silent'"
        yield from (f"CREATE SCHEMA {each['name']}" for each in self._ask(members.SCHEMAS))
        yield from self._make_types()
        relations = self._ask(members.RELATIONS)
        yield from (f"CREATE SEQUENCE {each['name']}" for each in relations if each["kind"] == "S")
        for each in relations:
            if each["kind"] in "rp":
                yield f"CREATE TABLE {each['name']} ({', '.join(each['columns'])})"
        yield from self._languages()
        for function in self._functions:
            if function["oid"] not in self._made and function["kind"] != "a":
                yield self._function(function)
        yield from self._aggregates()
        yield from self._operators()
        yield from (cast for each in self._ask(members.CASTS) if (cast := self._cast(each)))
        yield from self._methods()
        for check in self._ask(members.DOMAIN_CHECKS):
            yield f"ALTER DOMAIN {check['domain']} ADD CONSTRAINT {check['name']} {check['definition']} NOT VALID"
        yield from self._relations(relations)
        yield from (f"CREATE FOREIGN DATA WRAPPER {each['name']}" for each in self._ask(members.WRAPPERS))
        name = self._extension.name.replace("'", "''")
        if self._facts["relocatable"]:
            yield f"UPDATE pg_catalog.pg_extension SET extrelocatable = true WHERE extname = '{name}'"  # noqa: S608 - quoted

    def _make_types(self) -> Iterator[str]:
        yield from (f"CREATE TYPE {each['name']}" for each in self._types if each["kind"] in "b")
        for each in self._types:
            name = each["name"]
            if each["kind"] == "e":
                yield f"CREATE TYPE {name} AS ENUM ({', '.join(each['labels'])})"
            elif each["kind"] == "b":
                yield from self._base_type(each)
            elif each["kind"] == "c":
                yield f"CREATE TYPE {name} AS ({', '.join(each['attributes'])})"
            elif each["kind"] == "d":
                default = f" DEFAULT {each['default']}" if each["default"] is not None else ""
                yield f"CREATE DOMAIN {name} AS {each['base']}{default}{' NOT NULL' if each['not_null'] else ''}"
            elif each["kind"] == "r":
                yield f"CREATE TYPE {name} AS RANGE (SUBTYPE = {each['subtype']})"

    def _base_type(self, facts: dict[str, Any]) -> Iterator[str]:
        options = [
            f"CATEGORY = '{facts['category']}'", f"PREFERRED = {str(facts['preferred']).lower()}",
            f"DELIMITER = '{facts['delimiter']}'", f"COLLATABLE = {str(facts['collatable']).lower()}",
        ]  # fmt: skip
        if facts["default"] is not None:
            options.append("DEFAULT = " + _literal(facts["default"]))
        storage = {"p": "plain", "e": "external", "x": "extended", "m": "main"}[facts["storage"]]
        if facts["is_real"]:
            length = "variable" if facts["length"] == -1 else str(facts["length"])
            alignment = {"c": "char", "s": "int2", "i": "int4", "d": "double"}[facts["alignment"]]
            options += [f"INTERNALLENGTH = {length}", f"ALIGNMENT = {alignment}", f"STORAGE = {storage}"]
            options += ["PASSEDBYVALUE"] if facts["by_value"] else []
        else:
            options += ["INTERNALLENGTH = variable", f"STORAGE = {storage}"]
        words = {"input": "textin", "output": "textout", "receive": "textrecv", "send": "textsend"}
        for role, stands_in in words.items():
            function = self._by_oid.get(facts[role])
            if function:
                yield from self._internal(function, stands_in)
            if function or (facts["is_real"] and role in ("input", "output")):
                options.append(f"{role.upper()} = {_name_of(function) if function else f'pg_catalog.{stands_in}'}")
        into, out = self._by_oid.get(facts["modifier_in"]), self._by_oid.get(facts["modifier_out"])
        if into and into["language"] == "internal" and (out is None or out["language"] == "internal"):
            for word, function in (("TYPMOD_IN", into), ("TYPMOD_OUT", out)):
                if function:
                    yield from self._internal(function, "")
                    options.append(f"{word} = {function['name']}")
        elif into:
            labels = f"{self._schema}.{_quoted('safemig_modifiers_' + str(facts['oid']))}"
            back = out["name"] if out else f"{self._schema}.{_quoted('safemig_modifier_out_' + str(facts['oid']))}"
            self._made |= {into["oid"], *([out["oid"]] if out else [])}
            known = ", ".join(_literal(each) for each in facts["modifiers"] or () if each)
            yield _MODIFIERS.format(
                words=",".join(_WORDS), labels=labels, known=known, modifier_in=into["name"], modifier_out=back
            )
            options += [f"TYPMOD_IN = {into['name']}", f"TYPMOD_OUT = {back}"]
        yield f"CREATE TYPE {facts['name']} ({', '.join(options)})"

    def _internal(self, function: dict[str, Any], stands_in: str) -> Iterator[str]:
        """Give the statement that makes a function of a function of the server's own, once."""
        if function["oid"] not in self._made:
            self._made.add(function["oid"])
            yield self._function(function, stands_in)

    def _function(self, facts: dict[str, Any], stands_in: str = "") -> str:
        known = _KNOWN.get((self._extension.name, facts["plain"]))
        # The server's own function would take the text of a value for whatever the library keeps.
        is_unfit = facts["language"] == "internal" and not self._textual.isdisjoint(facts["type_oids"])
        if facts["language"] in ("sql", "plpgsql", "internal") and facts["definition"] and not is_unfit:
            return str(facts["definition"])
        properties = f"{_VOLATILITY[facts['volatility']]} {'STRICT ' if facts['strict'] else ''}PARALLEL {_PARALLEL[facts['parallel']]} "
        word, returns = ("PROCEDURE", "") if facts["kind"] == "p" else ("FUNCTION", f" RETURNS {facts['result']}")
        if facts["kind"] == "p":
            properties = ""
        head = f"CREATE {word} {facts['name']}({facts['arguments']}){returns}"
        if known:
            return f"{head} LANGUAGE sql {properties}AS {_literal(known)}"
        if body := _KNOWN_BODIES.get((self._extension.name, facts["plain"], len(facts["type_oids"]) - 1)):
            how = f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS {_literal(body)}"
            return f"{head} {how}"
        if facts["language"] not in ("c", "internal") and facts["definition"]:
            return str(facts["definition"])  # of a language that has a stand-in of its own
        stands_in = stands_in or self._bytewise.get(facts["oid"], "")
        if facts["returns"] == "index_am_handler":
            stands_in = "ginhandler"
        if facts["is_low_level"] and not stands_in:
            stands_in = _NOT_MADE_TYPE
        if stands_in or facts["kind"] == "w":
            window = "WINDOW " if facts["kind"] == "w" else ""
            return f"{head} LANGUAGE internal {window}{properties}AS '{stands_in or _NOT_MADE_TYPE}'"
        silent = "RETURN NULL"
        if (
            facts["kind"] == "p"
            or facts["returns_set"]
            or facts["has_outputs"]
            or facts["returns"] in ("void", "event_trigger")
        ):
            silent = "RETURN"
        elif facts["returns"] == "trigger":
            silent = "RETURN coalesce(NEW, OLD)"
        message = _literal(
            f"{facts['name']}({facts['identity']}) is not real on this copy: extension {self._extension.name} is a stand-in"
        )
        return _STUB.format(
            word=word, name=facts["name"], arguments=facts["arguments"], returns=returns, properties=properties,
            silent=silent, message=message,
        )  # fmt: skip

    def _bytewise_functions(self) -> dict[int, str]:
        """Return the functions that compare two values of a type that holds text: by their bytes."""
        found: dict[int, str] = {}
        for each in self._classes:
            if each["method"] not in ("btree", "hash") or not self._is_bytewise(each):
                continue
            strategies, supports = (_BYTEA, _BTREE) if each["method"] == "btree" else ({"1": "byteaeq"}, _HASH)
            found |= {int(oid): strategies[number] for number, _, oid in each["operators"] if number in strategies}
            found |= {int(oid): supports[number] for number, _, oid in each["functions"] if number in supports}
        return found

    def _is_bytewise(self, of: dict[str, Any]) -> bool:
        return of["type_oid"] in self._textual or of["length"] == -1

    def _aggregates(self) -> Iterator[str]:
        for each in self._ask(members.AGGREGATES):
            if each["is_plain"]:
                final = f", FINALFUNC = {each['final']}" if each["final"] else ""
                initial = f", INITCOND = {_literal(each['initial'])}" if each["initial"] is not None else ""
                yield f"CREATE AGGREGATE {each['name']} (SFUNC = {each['step']}, STYPE = {each['state']}{final}{initial})"

    def _operators(self) -> Iterator[str]:
        for each in self._ask(members.OPERATORS):
            sides = [f"{side.upper()}ARG = {each[side]}" for side in ("left", "right") if each[side]]
            others = [f"{word.upper()} = {each[word]}" for word in ("commutator", "negator") if each[word]]
            marks = [word.upper() for word in ("merges", "hashes") if each[word]]
            yield f"CREATE OPERATOR {each['schema']}.{each['name']} (FUNCTION = {each['function']}, {', '.join([*sides, *others, *marks])})"

    def _cast(self, facts: dict[str, Any]) -> str:
        how = f"WITH FUNCTION {facts['function']}" if facts["function"] else "WITHOUT FUNCTION"
        textual = {facts["source_oid"], facts["target_oid"]} & self._textual
        if facts["method"] == "i" or (textual and not facts["function"]):
            how = "WITH INOUT"
        when = {"e": "", "a": " AS ASSIGNMENT", "i": " AS IMPLICIT"}[facts["context"]]
        # A length coercion by a stub would refuse every value; without one a value is taken as it is.
        if facts["source_oid"] == facts["target_oid"] and textual:
            return ""
        return f"CREATE CAST ({facts['source']} AS {facts['target']}) {how}{when}"

    def _methods(self) -> Iterator[str]:
        nothing = f"{self._schema}.{_quoted(f'safemig_no_entry_{self._tag}')}"
        options = f"{self._schema}.{_quoted(f'safemig_index_options_{self._tag}')}"
        pretended: set[str] = set()
        is_made = False
        for each in self._ask(members.METHODS):
            handler = f"pg_catalog.{'heap_tableam_handler' if each['kind'] == 't' else 'ginhandler'}"
            if each["kind"] == "i":
                self.methods[each["name"]] = options
            yield f"CREATE ACCESS METHOD {each['name']} TYPE {'TABLE' if each['kind'] == 't' else 'INDEX'} HANDLER {handler}"
        for each in self._classes:
            method, is_own = each["method"], each["own_method"]
            default = "DEFAULT " if each["is_default"] else ""
            if method in ("btree", "hash") and not is_own:
                if self._is_bytewise(each) and each["operators"]:
                    entries = [f"OPERATOR {number} {name} ({each['type']}, {each['type']})" for number, name, _ in each["operators"]
                               if number in (_BYTEA if method == "btree" else {"1"})]  # fmt: skip
                    entries += [
                        f"FUNCTION {number} {name}"
                        for number, name, oid in each["functions"]
                        if int(oid) in self._bytewise
                    ]
                    yield f"CREATE OPERATOR CLASS {each['name']} {default}FOR TYPE {each['type']} USING {method} AS {', '.join(entries)}"
                continue
            if not is_made:  # both, before the first that needs them
                is_made = True
                yield _OPTIONS.format(function=options)
                yield f"CREATE FUNCTION {nothing}(internal, internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'void_in'"
            used = _quoted(method)
            if not is_own:
                used = f"{PRETENDED}{method}_{self._tag}"
                self.methods[used] = options
                self.classes[f"{method} {each['name']}"] = used
                if each["is_default"]:
                    self.defaults[f"{method} {each['type']}"] = used
                if used not in pretended:
                    pretended.add(used)
                    yield f"CREATE ACCESS METHOD {used} TYPE INDEX HANDLER pg_catalog.ginhandler"
            entries = [f"FUNCTION {number} {nothing}(internal, internal)" for number in (2, 3, 4)]
            yield (
                f"CREATE OPERATOR CLASS {each['name']} {default}FOR TYPE {each['type']} USING {used} "
                f"AS {', '.join(entries)}, STORAGE pg_catalog.int4"
            )

    def _languages(self) -> Iterator[str]:
        for each in self._ask(members.LANGUAGES):
            handler = next(
                (one for one in self._functions if one["name"] == each["handler"] or one["plain"] == each["handler"]),
                None,
            )
            if handler:
                yield from self._internal(handler, _NOT_MADE_TYPE)
            yield f"CREATE {'TRUSTED ' if each['trusted'] else ''}LANGUAGE {each['name']} HANDLER {each['handler']}"

    def _relations(self, relations: list[dict[str, Any]]) -> Iterator[str]:
        config = dict(zip(map(int, self._facts["config"]), self._facts["conditions"], strict=False))
        for each in relations:
            if each["kind"] == "v":
                yield f"CREATE VIEW {each['name']} AS {each['view']}"
                continue
            if each["kind"] in "rp":
                rows = self._extension.own_rows(each["name"], each["oid"], config.get(each["oid"]))
                yield from (
                    f"INSERT INTO {each['name']} OVERRIDING SYSTEM VALUE SELECT (({row})::{each['name']}).*"
                    for row in rows
                )
                yield from (
                    f"ALTER TABLE {each['name']} {change}" for change in (*each["defaults"], *each["constraints"])
                )
            if each["oid"] in config:
                yield f"SELECT pg_catalog.pg_extension_config_dump({_literal(each['name'])}, {_literal(config[each['oid']])})"


def _name_of(function: dict[str, Any]) -> str:
    return str(function["name"])


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return (
        "'" + text.replace("'", "''") + "'"
        if "\\" not in text
        else "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    )
