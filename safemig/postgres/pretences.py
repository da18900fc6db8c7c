"""What a copy only pretends to have, and SQL put so that it runs there.

A copy with stand-ins (see `safemig.postgres.stand_in`) makes an index of an extension's access method or class by one
that keeps no entries, and a collation that its server lacks by the order of bytes. The catalogs of the copy are then
read as if it had the real ones. The server of the copy carries what it pretends in a setting of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from psycopg.errors import Error

from safemig.postgres.connection import Connection
from safemig.sql.identifiers import quote_literal, quote_name

SETTING = "safemig.pretences"
WHAT_IS_PRETENDED = "SELECT current_setting('safemig.pretences', true)"
COLUMN_TYPES = """
SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
YOUNGEST_INDEX = "(SELECT max(indexrelid)::regclass FROM pg_catalog.pg_index WHERE indrelid = {}::regclass)"
INDEXES_PRETENDED = """
SELECT format('index %%I.%%I (%%s)', n.nspname, c.relname, a.amname) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('i', 'I') AND quote_ident(a.amname) = ANY(%s) ORDER BY 1
"""
# Access methods that stand for PostgreSQL's own, in an index's definition.
_STANDS_FOR = re.compile(r" USING safemig_(btree|hash|gist|gin|spgist|brin)_\w+ ")
_COLLATION_COMMENT = "safemig stand-in for: "
_COLLATION_IN_DUMP = re.compile(rf"^COMMENT ON COLLATION (\S+) IS '{_COLLATION_COMMENT}(.*)';$", re.MULTILINE)
_COLLATION_COMMENT_IN_DUMP = re.compile(
    rf"^--\n-- Name: COLLATION [^\n]*; Type: COMMENT; [^\n]*\n--\n\nCOMMENT ON COLLATION \S+ IS '{_COLLATION_COMMENT}.*';\n",
    re.MULTILINE,
)
_USING = re.compile(r"\bUSING\s+\"?\w+\"?", re.IGNORECASE)
_WITH = re.compile(r"\bWITH\s*\(([^()]*)\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pretences:
    """What is pretended; names are qualified, types as format_type() writes them with an empty search path."""

    methods: Mapping[str, str] = field(default_factory=dict)  # access method -> the function that notes index options
    classes: Mapping[str, str] = field(default_factory=dict)  # "gist schema.class" -> access method
    defaults: Mapping[str, str] = field(default_factory=dict)  # "gist schema.type" -> access method
    indexes: Mapping[str, str] = field(default_factory=dict)  # an index that is there -> access method
    constraints: tuple[str, ...] = ()  # "table constraint", which the copy goes without
    without_icu: bool = False
    locales: tuple[str, ...] = ()  # of the C library, which this machine does not have

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    @property
    def setting(self) -> str:
        """The value of the setting of a server that pretends this."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, connection: Connection) -> Pretences:
        """Return what the server of a copy pretends; nothing on every other server."""
        row = connection.execute(WHAT_IS_PRETENDED).fetchone()
        said = json.loads(row[0]) if row and row[0] else {}
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in said.items()
        }
        return cls(**values)

    def adapted(self, statement: str, connection: Connection | None = None) -> tuple[str, ...]:
        """Return one statement as it runs on the copy, and after it what notes how it was written.

        `connection`, to the copy, tells the types of a table's columns.
        """
        if not self or not re.search(r"\b(INDEX|COLLATION)\b", statement, re.IGNORECASE):
            return (statement,)
        from safemig.sql.tree import read_trees  # the parser takes time to load, and reading a schema needs none

        trees = read_trees(statement)
        if len(trees) != 1:
            return (statement,)
        ((kind, node),) = trees[0]["stmt"].items()
        if kind == "IndexStmt":
            return self._index(statement, node, connection)
        if kind == "DefineStmt" and node.get("kind") == "OBJECT_COLLATION":
            return self._collation(statement, node)
        return (statement,)

    def adapted_lines(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Give the lines of a dump by pg_dump, in plain SQL, as they run on the copy. Rows are given as they are."""
        in_rows, table = False, ""
        for line in lines:
            if in_rows:
                in_rows = line != b"\\.\n"
            elif line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
                in_rows = True
            elif line.startswith((b"CREATE INDEX ", b"CREATE UNIQUE INDEX ", b"CREATE COLLATION ")) and line.endswith(
                b";\n"
            ):
                for statement in self.adapted(line.decode()):
                    yield statement.rstrip().rstrip(";").encode() + b";\n"
                continue
            elif line.startswith(b"ALTER TABLE ONLY ") and line.endswith(b"\n") and b";" not in line:
                table = line.decode().split(" ONLY ")[1].strip()
            elif line.startswith(b"    ADD CONSTRAINT ") and any(
                f"{table} {line.decode().split()[2]}" == each for each in self.constraints
            ):
                yield b"    RESET (fillfactor);\n"  # the statement that this line ends then changes nothing
                continue
            yield line

    def _index(self, statement: str, node: Mapping[str, Any], connection: Connection | None) -> tuple[str, ...]:
        relation = node["relation"]
        schema, table = relation.get("schemaname", ""), quote_name(relation.get("schemaname"), relation["relname"])
        name = quote_name(schema, node["idxname"]) if node.get("idxname") else ""
        method = self._method(node, name, connection, table)
        if method is None:
            return (statement,)
        options = {each["DefElem"]["defname"]: _value(each["DefElem"].get("arg")) for each in node.get("options", ())}
        adapted = _USING.sub(f"USING {method}", statement, count=1)
        if not options:
            return (adapted,)
        noted = ", ".join(quote_literal(f"{key}={value}").strip() for key, value in options.items())
        # Without a name of its own it is the youngest index of its table.
        which = (
            f"{quote_literal(name).strip()}::regclass" if name else YOUNGEST_INDEX.format(quote_literal(table).strip())
        )
        return _WITH.sub("", adapted, count=1), f"SELECT {self.methods[method]}({which}, ARRAY[{noted}])"

    def _method(self, node: Mapping[str, Any], name: str, connection: Connection | None, table: str) -> str | None:
        """Return the access method to make an index by; None where the one that it names is real."""
        written = str(node.get("accessMethod", "btree"))
        if written in self.methods:
            return written
        if found := self.indexes.get(name):
            return found
        elements = [each["IndexElem"] for each in node.get("indexParams", ())]
        for element in elements:
            words = [part["String"]["sval"] for part in element.get("opclass", ())]
            for key, method in self.classes.items():
                if words and key in (
                    f"{written} {quote_name(*words)}",
                    f"{written} {key.split(' ', 1)[1].rpartition('.')[0]}.{quote_name(*words)}",
                ):
                    return method
        if connection is None or not any(key.startswith(f"{written} ") for key in self.defaults):
            return None
        types = dict(connection.execute(COLUMN_TYPES, (table,)).fetchall())
        for element in elements:
            wanted = types.get(element.get("name", ""), "")
            for key, method in self.defaults.items():
                real_method, _, type_ = key.partition(" ")
                if real_method == written and wanted and wanted in (type_, type_.rpartition(".")[2]):
                    return method
        return None

    def _collation(self, statement: str, node: Mapping[str, Any]) -> tuple[str, ...]:
        options = {
            each["DefElem"]["defname"].lower(): _value(each["DefElem"].get("arg"))
            for each in node.get("definition", ())
        }
        provider = options.get("provider", "libc")
        locale = options.get("locale") or options.get("lc_collate")
        if not (provider == "icu" and self.without_icu) and not (provider == "libc" and locale in self.locales):
            return (statement,)
        name = quote_name(*[part["String"]["sval"] for part in node["defnames"]])
        noted = quote_literal(_COLLATION_COMMENT + json.dumps(options)).strip()
        exists = "IF NOT EXISTS " if node.get("if_not_exists") else ""
        made = f"CREATE COLLATION {exists}{name} (provider = libc, locale = 'C')"
        return made, f"COMMENT ON COLLATION {name} IS {noted}"


def real_index(definition: str) -> str:
    """Return an index's definition with the access method that it was written with."""
    return _STANDS_FOR.sub(r" USING \1 ", definition) if " USING safemig_" in definition else definition


def indexes_pretended(copy: Connection) -> tuple[str, ...]:
    """Return the indexes of a copy that keep no entries, in words."""
    pretences = Pretences.of(copy)
    rows = copy.execute(INDEXES_PRETENDED, (list(pretences.methods),)).fetchall() if pretences else []
    return tuple(re.sub(r"\(safemig_([a-z]+)_\w+\)$", r"(\1)", name) for (name,) in rows)


def real_dump(dump: str) -> str:
    """Return a dump of a schema, by pg_dump, with what is pretended put as the real database's dump has it."""
    dump = _STANDS_FOR.sub(r" USING \1 ", dump)
    for name, said in _COLLATION_IN_DUMP.findall(dump):
        written = _as_dumped(json.loads(said.replace("''", "'")))
        made = re.compile(rf"^CREATE COLLATION {re.escape(name)} \(.*\);$", re.MULTILINE)
        dump = made.sub(f"CREATE COLLATION {name} ({written});".replace("\\", r"\\"), dump)
    return _COLLATION_COMMENT_IN_DUMP.sub("", dump)


def _as_dumped(options: Mapping[str, str]) -> str:
    """Return the options of a collation in the order and form of pg_dump."""
    order = ("provider", "deterministic", "locale", "lc_collate", "lc_ctype", "rules")
    written = {key: options[key] for key in order if key in options}
    if written.get("deterministic") == "true":
        del written["deterministic"]
    bare = ("provider", "deterministic")
    return ", ".join(f"{key} = {value if key in bare else quote_literal(value)}" for key, value in written.items())


def real_collation(comment: str | None) -> dict[str, Any] | None:
    """Return the row of the real collation, as the catalog has it, where a comment notes that it is a stand-in."""
    if not comment or not comment.startswith(_COLLATION_COMMENT):
        return None
    options = json.loads(comment.removeprefix(_COLLATION_COMMENT))
    provider = options.get("provider", "libc")
    row: dict[str, Any] = {"collprovider": {"libc": "c", "icu": "i", "builtin": "b"}[provider]}
    locale = options.get("locale")
    if provider == "libc":
        row |= {"collcollate": options.get("lc_collate", locale), "collctype": options.get("lc_ctype", locale)}
    else:
        row |= {"colllocale": locale}
    row["collisdeterministic"] = str(options.get("deterministic", "true")).lower() not in ("false", "off", "0")
    return row | ({"collicurules": options["rules"]} if "rules" in options else {})


def _value(argument: Mapping[str, Any] | None) -> str:
    """Return an option's value as text."""
    if not argument:
        return "true"
    ((kind, node),) = argument.items()
    if kind == "String":
        return str(node["sval"])
    if kind in ("Integer", "Float", "Boolean"):
        return str(next(iter(node.values()), 0))
    if kind == "TypeName":
        return str(node["names"][-1]["String"]["sval"])
    return str(next(iter(node.values()), ""))


Adapt = Callable[[str], tuple[str, ...]]


def adapter(connection: Connection) -> Adapt | None:
    """Return what puts a statement so that it runs on the copy of `connection`; None where it pretends nothing."""
    try:
        pretences = Pretences.of(connection)
    except Error:  # a transaction that failed: the caller's next statement says so
        return None
    return (lambda statement: pretences.adapted(statement, connection)) if pretences else None
