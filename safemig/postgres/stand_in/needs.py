"""What a database needs of the server that its copy is made on, and what stands in for that which is not there."""

from __future__ import annotations

import ctypes
import functools
import os
from dataclasses import dataclass, field
from pathlib import Path

from safemig.postgres.connection import Connection
from safemig.postgres.pretences import Pretences
from safemig.postgres.server.private_installation import ExtraFiles
from safemig.postgres.server.programs import Programs, find_programs, server_programs
from safemig.postgres.stand_in.members import Members, names_qualified
from safemig.postgres.stand_in.script import KNOWN_FUNCTIONS, StandIn, write_stand_in

# Of a copy no job may fire and no request may leave; nor do these start without being preloaded and configured.
NEVER_REAL = frozenset(
    {"pg_cron", "pg_net", "http", "pgsodium", "supabase_vault", "timescaledb", "pg_tle", "pgmq_bgw", "pg_background"}
)
EXTENSIONS = "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1"
# The database's own, and every other one that something depends on; an extension's are the extension's.
COLLATIONS = """
SELECT format('%I.%I', n.nspname, c.collname), c.collprovider::text, to_jsonb(c) ->> 'collcollate', c.oid < 16384
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collprovider IN ('i', 'c') AND c.collname NOT IN ('C', 'POSIX', 'ucs_basic')
  AND (c.oid >= 16384 OR EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_collation'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""
DATABASE_LOCALE = """
SELECT coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), datcollate,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') FROM pg_database d WHERE datname = current_database()
"""
# The files that dictionaries were made with: kind of file by option (manual, 12.6).
DICTIONARIES = r"""
SELECT format('%I.%I', n.nspname, d.dictname), lower(m.option[1]), m.option[2], t.tmplname
FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace JOIN pg_ts_template t ON t.oid = d.dicttemplate
CROSS JOIN LATERAL regexp_matches(d.dictinitoption, '(\w+) = ''([^'']+)''', 'g') AS m (option)
WHERE lower(m.option[1]) IN ('dictfile', 'afffile', 'stopwords', 'synonyms') ORDER BY 1
"""
_SUFFIXES = {"dictfile": "dict", "afffile": "affix", "stopwords": "stop", "synonyms": "syn"}
INDEXES_BY_CLASS = """
SELECT format('%%I.%%I', n.nspname, i.relname), a.amname, a.amname || ' ' || format('%%I.%%I', cn.nspname, c.opcname), k.contype::text,
       k.conrelid::regclass::text || ' ' || quote_ident(k.conname), x.indisunique
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
JOIN pg_am a ON a.oid = i.relam CROSS JOIN LATERAL unnest(x.indclass::oid[]) AS u (class)
JOIN pg_opclass c ON c.oid = u.class JOIN pg_namespace cn ON cn.oid = c.opcnamespace
JOIN pg_depend d ON d.classid = 'pg_opclass'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid
LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.contype IN ('p', 'u', 'x')
WHERE e.extname = ANY(%s) ORDER BY 1
"""
# What calls a function of an extension's library whenever rows are written, or at its own making.
CALLERS = """
SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0), e.extname
FROM pg_depend m JOIN pg_extension e ON e.oid = m.refobjid AND m.refclassid = 'pg_extension'::regclass AND m.deptype = 'e'
LEFT JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
JOIN pg_proc p ON p.oid = CASE WHEN m.classid = 'pg_proc'::regclass THEN m.objid ELSE o.oprcode END
JOIN pg_language l ON l.oid = p.prolang
JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid AND d.deptype IN ('n', 'a')
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE e.extname = ANY(%s) AND l.lanname = 'c' AND e.extname || ':' || p.proname <> ALL(%s)
  AND (c.relkind = 'i' OR d.classid IN ('pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_trigger'::regclass))
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classid AND x.objid = d.objid AND x.deptype = 'e') ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Needs:
    """An installation for copies of a database, and what the copies have in place of what it lacks."""

    programs: Programs
    stand_ins: tuple[StandIn, ...] = ()
    files: ExtraFiles = field(default_factory=ExtraFiles)
    pretences: Pretences = field(default_factory=Pretences)
    collations: tuple[str, ...] = ()  # of PostgreSQL itself, which the server lacks
    exceptions: tuple[str, ...] = ()  # what a rehearsal on it does not show, in words

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the server."""
        return {"safemig.pretences": self.pretences.setting} if self.pretences else {}


def needs_of(source: Connection, at_least: int = 0) -> Needs:
    """Return the best installation for copies of `source`, never of an older major than it or `at_least`. Reads only.

    One that lacks nothing comes before one of a nearer version; else the nearest, with stand-ins for what it lacks.

    Raises:
        ToolError: there is no server of that version or later on this machine.
    """
    major = max(at_least, source.info.server_version // 10000)
    nearest = server_programs(major)
    wanted = dict(source.execute(EXTENSIONS).fetchall())
    collations = source.execute(COLLATIONS).fetchall()
    provider, locale, icu_locale = source.execute(DATABASE_LOCALE).fetchone() or ("c", "C", None)
    needs_icu = provider == "i" or any(each[1] == "i" for each in collations)
    if not wanted and not collations and provider == "c" and has_locale(locale):
        needs = Needs(nearest)
    else:
        others = sorted(
            (each for each in find_programs() if each.has_server and each.has_clients and each.major > major),
            key=lambda each: each.major,
        )
        candidates = [nearest, *others]
        programs = next((each for each in candidates if _lacks_nothing(each, wanted, needs_icu)), nearest)
        needs = _with_stand_ins(source, programs, wanted)
        needs = _with_collations(needs, collations, (provider, locale, icu_locale))
    return _with_dictionaries(source, needs)


def _lacks_nothing(programs: Programs, wanted: dict[str, str], needs_icu: bool) -> bool:
    return not lacking(programs, wanted) and (has_icu(programs) or not needs_icu)


def lacking(programs: Programs, wanted: dict[str, str]) -> list[str]:
    """Return which extensions, of those that a copy may have at all, an installation does not have."""
    have = programs.extensions()
    return [name for name in wanted if name not in have and name not in NEVER_REAL]


def _with_stand_ins(source: Connection, programs: Programs, wanted: dict[str, str]) -> Needs:
    names = [*lacking(programs, wanted), *(name for name in wanted if name in NEVER_REAL)]
    if not names:
        return Needs(programs)
    with names_qualified(source):
        stand_ins = tuple(write_stand_in(Members(source, name)) for name in names)
        classes = {key: method for each in stand_ins for key, method in each.classes.items()}
        methods = {key: function for each in stand_ins for key, function in each.methods.items()}
        indexes = source.execute(INDEXES_BY_CLASS, (names,)).fetchall()
        callers = source.execute(CALLERS, (names, list(KNOWN_FUNCTIONS))).fetchall()
    files = {f"{each.name}.control": each.control for each in stand_ins}
    files |= {f"{each.name}--{each.version}.sql": each.script for each in stand_ins}
    exceptions = [
        f"extension {each.name} {each.version}: a stand-in; its types hold text, the functions of its library raise"
        for each in stand_ins
    ]
    for name, method, _, kind, _, is_unique in indexes:
        if method not in ("btree", "hash"):
            exceptions.append(f"{'constraint of index' if kind == 'x' else 'index'} {name} ({method})")
        elif is_unique:
            exceptions.append(f"unique index {name}: compared by bytes")
    exceptions += [f"{what}: needs the library of {extension}" for what, extension in callers]
    pretences = Pretences(
        methods=methods,
        classes=classes,
        defaults={key: method for each in stand_ins for key, method in each.defaults.items()},
        indexes={name: classes[key] for name, _, key, *_ in indexes if key in classes},
        constraints=tuple(f"{constraint}" for _, _, key, kind, constraint, _ in indexes if kind == "x"),
    )
    return Needs(programs, stand_ins, ExtraFiles(files), pretences, (), tuple(dict.fromkeys(exceptions)))


def _with_collations(
    needs: Needs, collations: list[tuple[str, str, str, bool]], database: tuple[str, str, str | None]
) -> Needs:
    icu = has_icu(needs.programs)
    missing = [(name, locale, is_own) for name, provider, locale, is_own in collations
               if (not icu if provider == "i" else not has_locale(locale))]  # fmt: skip
    provider, locale, icu_locale = database
    exceptions = [f"collation {name}: sorts and compares by bytes" for name, _, _ in missing]
    if provider == "i" and not icu:
        exceptions.insert(0, f"the database's collation, ICU {icu_locale}: sorts and compares by bytes")
    elif provider == "c" and not has_locale(locale):
        exceptions.insert(0, f"the database's collation {locale}: sorts and compares by bytes")
    if not exceptions:
        return needs
    pretences = Pretences(
        methods=needs.pretences.methods, classes=needs.pretences.classes, defaults=needs.pretences.defaults,
        indexes=needs.pretences.indexes, constraints=needs.pretences.constraints, without_icu=not icu,
        locales=tuple(sorted({locale for _, locale, _ in missing if locale})),
    )  # fmt: skip
    theirs = tuple(name for name, _, is_own in missing if is_own)
    return Needs(needs.programs, needs.stand_ins, needs.files, pretences, theirs, (*needs.exceptions, *exceptions))


def _with_dictionaries(source: Connection, needs: Needs) -> Needs:
    folder = needs.programs.share / "tsearch_data" if needs.programs.share else None
    files: dict[str, str] = {}
    exceptions: list[str] = []
    for name, option, base, template in source.execute(DICTIONARIES).fetchall():
        suffix = "ths" if template == "thesaurus" and option == "dictfile" else _SUFFIXES[option]
        file = f"{base.lower()}.{suffix}"
        if folder and not (folder / file).is_file():
            files[file] = "PFX A Y 1\nPFX A 0 safemig .\n" if suffix == "affix" else ""
            exceptions.append(f"text search dictionary {name}: its file {file} is not on this machine")
    if not files:
        return needs
    return Needs(
        needs.programs, needs.stand_ins, ExtraFiles(needs.files.extension, files), needs.pretences, needs.collations,
        (*needs.exceptions, *exceptions),
    )  # fmt: skip


@functools.cache
def _holds_icu(program: Path) -> bool:
    return b"ICU is not supported in this build" not in program.read_bytes()


def has_icu(programs: Programs) -> bool:
    """Tell whether a server was built with ICU."""
    return _holds_icu(programs.path("postgres"))


@functools.cache
def has_locale(name: str | None) -> bool:
    """Tell whether the C library of this machine knows a locale."""
    if name in (None, "", "C", "POSIX"):
        return True
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    return bool(library.newlocale(1 << 3, os.fsencode(name or ""), None))  # LC_COLLATE_MASK of glibc
