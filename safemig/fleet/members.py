"""Who belongs to a fleet: read from a query, a file, a variable or libpq's services. Passwords stay in memory."""

from __future__ import annotations

import csv
import fnmatch
import io
import os
import re
from collections.abc import Iterable, Mapping
from configparser import ConfigParser, Error
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from safemig.connection_urls import readable
from safemig.errors import SettingsError
from safemig.postgres.connection.connect import connected, words_of
from safemig.secrets import holds_password, parts_of, remember_conninfo
from safemig.settings import FILE_NAME, FleetSettings, Settings

_SQL = re.compile(r"sql:\s*(?P<query>.+?)\s+on\s+(?P<environment>[\w.-]+)\s*;?\s*\Z", re.DOTALL | re.IGNORECASE)
_NAME = re.compile(r"[^\W_][\w .@:+-]{0,99}")
_URL_COLUMNS = ("url", "dsn", "conninfo", "connection_string")
_FALSE = frozenset({"", "false", "f", "no", "n", "0", "off", "none", "null"})
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Member:
    """One database of a fleet, or one schema; `conninfo` may hold a password, and is shown nowhere."""

    name: str
    conninfo: str = field(repr=False)
    server: str  # whose connections are bounded together
    database: str
    schema: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def has(self, label: str) -> bool:
        """Tell whether it has a label: `canary`, or `tier=free`. Raises KeyError where it has none of that name."""
        key, sign, value = label.partition("=")
        found = self.labels[key]
        return found == value if sign else found.strip().lower() not in _FALSE


def environment_of(fleet: str, member: str) -> str:
    """Return the name under which a member's journal and backups stand: a folder in the fleet's own."""
    return f"{fleet}/{member}"


def settings_of(settings: Settings, fleet: str, member: Member) -> Settings:
    """Return the project's settings with the member as an environment (see `environment_of`)."""
    conninfo = in_schema(member.conninfo, member.schema) if member.schema else member.conninfo
    return settings.for_member(environment_of(fleet, member.name), conninfo, member.schema)


def in_schema(conninfo: str, schema: str) -> str:
    """Return a connection string whose sessions begin with the schema's names first, then public's."""
    parts = parts_of(conninfo)
    quoted = '"' + schema.replace('"', '""') + '"'
    path = f"{quoted},public".replace("\\", "\\\\").replace(" ", "\\ ")
    options = f"{parts.get('options', '')} -csearch_path={path}".strip()
    return psycopg.conninfo.make_conninfo(conninfo, options=options)


def members_of(settings: Settings, name: str) -> tuple[Member, ...]:
    """Return a fleet's members, in the source's order. Reads only.

    Raises:
        SettingsError: the source cannot be read, is empty, or a member of it is no database or not told from another.
        UnreachableError: the environment that the query goes to cannot be reached.
    """
    name, fleet = settings.fleet(name)
    key = "members" if fleet.members else "schemas"
    place = f"{FILE_NAME}, [fleets.{name}], {key}"
    source = fleet.members or fleet.schemas
    if key == "schemas":
        found = _schemas(settings, source, place)
    elif source.startswith("sql:"):
        found = [_member(row, place) for row in _rows_of_query(settings, source, place)[1]]
    elif source.startswith("file:"):
        found = _from_file(settings.folder / source.removeprefix("file:").strip())
    elif source.startswith("env:"):
        found = _from_variable(source.removeprefix("env:").strip(), place)
    elif source.startswith("service:"):
        found = _from_services(source.removeprefix("service:").strip(), place)
    else:
        raise SettingsError(
            f"{key} of fleet {name} does not say where they are",
            where=place,
            next='write "sql: select name, url from tenants on ENVIRONMENT", "file: tenants.csv", "env:NAME" or "service: tenant_*"',
        )
    _require_told_apart(found, place)
    _require_labels(fleet, found, place)
    return tuple(found)


def _require_told_apart(found: list[Member], place: str) -> None:
    if not found:
        raise SettingsError("the fleet has no member", where=place, next="correct the source: it gives no row")
    if len(found) > MOST:
        raise SettingsError(
            f"the fleet has more than {MOST:,} members", where=place, next="split it into several fleets"
        )
    names: dict[str, int] = {}
    databases: dict[tuple[str, str, str], str] = {}
    for number, each in enumerate(found, 1):
        if not _NAME.fullmatch(each.name):
            raise SettingsError(
                f"the name of member {number} cannot be a folder's: {each.name[:40]!r}",
                where=place,
                next="letters, digits, space and . _ @ : + - after a letter or digit, at most 100",
            )
        if (folded := each.name.casefold()) in names:
            raise SettingsError(
                f"two members are called {each.name}",
                where=f"{place}: rows {names[folded]} and {number}",
                next="give each a name of its own, in a column `name`",
            )
        names[folded] = number
        identity = (each.server, each.database, each.schema)
        if identity in databases:
            raise SettingsError(
                f"{each.name} and {databases[identity]} are the same database",
                where=f"{place}: {each.database}{f', schema {each.schema}' if each.schema else ''} on {each.server}",
                next="remove one of the two: it would be deployed to twice",
            )
        databases[identity] = each.name


def _require_labels(fleet: FleetSettings, found: list[Member], place: str) -> None:
    wanted = [wave.removeprefix("label:") for wave in fleet.waves if wave.startswith("label:")]
    for label in [*wanted, *([fleet.rehearse_on] if fleet.rehearse_on else [])]:
        key = label.partition("=")[0]
        if lacking := [each.name for each in found if key not in each.labels]:
            raise SettingsError(
                f"{len(lacking)} of {len(found)} members have no label {key!r}, such as {lacking[0]}",
                where=f"{place}; asked for by waves or rehearse_on",
                next=f"let the source give a column {key!r}, or name another label",
            )
        if not any(each.has(label) for each in found):
            raise SettingsError(
                f"no member has the label {label}", where=place, next="correct the label, or leave that wave out"
            )


def _member(row: Mapping[str, str | None], place: str, *, number: int = 0) -> Member:
    labels = {key: value or "" for key, value in row.items()}
    at = f"{place}, row {number}" if number else place
    url = next((labels.pop(key) for key in _URL_COLUMNS if labels.get(key)), "")
    service = labels.pop("service", "")
    name = labels.pop("name", "")
    if not url and not service:
        raise SettingsError(
            f"a member{f' ({name})' if name else ''} has no url and no service",
            where=at,
            next="the columns are name, url (or service), and any labels",
        )
    if url.startswith("env:"):
        variable = url.removeprefix("env:")
        if not (url := os.environ.get(variable, "")):
            raise SettingsError(
                f"the environment variable {variable} is missing or empty", where=at, next=f"export {variable}"
            )
    conninfo = url or f"service={service}"
    remember_conninfo(conninfo)
    conninfo = readable(conninfo, name or "a member", at)
    try:
        parts = parts_of(conninfo)
    except ValueError:
        raise SettingsError(
            f"the connection string of {name or 'a member'} is not valid (not shown)",
            where=at,
            next="postgresql://user@host:5432/database; special characters percent-encoded",
        ) from None
    database = parts.get("dbname") or (service and f"service {service}") or ""
    if not database:
        raise SettingsError(
            f"the connection string of {name or 'a member'} names no database", where=at, next="end it with /DATABASE"
        )
    return Member(name or service or database, conninfo, _server(parts, service), database, "", labels)


def _server(parts: Mapping[str, str], service: str) -> str:
    if service and not parts.get("host"):
        return f"service {service}"
    return f"{parts.get('host') or parts.get('hostaddr') or 'local socket'}:{parts.get('port') or 5432}"


def _rows_of_query(settings: Settings, source: str, place: str) -> tuple[str, list[dict[str, str | None]]]:
    match = _SQL.match(source)
    if match is None:
        raise SettingsError(
            "the query does not say which database it goes to",
            where=place,
            next='"sql: select name, url from tenants on ENVIRONMENT", where ENVIRONMENT is one of [environments]',
        )
    environment = match["environment"]
    conninfo = settings.conninfo(environment)
    with connected(conninfo, environment) as connection:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("RESET search_path")
                cursor = connection.execute(match["query"].encode())
                columns = [column.name for column in cursor.description or ()]
                rows = cursor.fetchmany(MOST + 1) if columns else []
        except psycopg.Error as error:
            raise SettingsError(
                f"the query for the fleet's members fails: {words_of(error)}",
                where=f"{place}, on {environment}",
                next="correct the query; it is run read-only",
            ) from None
    return conninfo, [
        dict(zip(columns, (None if value is None else str(value) for value in row), strict=True)) for row in rows
    ]


def _schemas(settings: Settings, source: str, place: str) -> list[Member]:
    conninfo, rows = _rows_of_query(settings, source, place)
    parts = parts_of(conninfo)
    server, database = _server(parts, parts.get("service", "")), parts.get("dbname", "")
    found = []
    for row in rows:
        labels = {key: value or "" for key, value in row.items()}
        schema = labels.pop("schema", "") or labels.pop(next(iter(labels)), "")
        if not schema:
            raise SettingsError(
                "a member has no schema", where=place, next="the first column, or `schema`, is its name"
            )
        found.append(Member(labels.pop("name", "") or schema, conninfo, server, database, schema, labels))
    return found


def _from_file(path: Path) -> list[Member]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"the fleet's file cannot be read: {words}", where=str(path), next="correct it") from None
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    found = []
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise SettingsError(
                "a row has not as many values as the first line has columns",
                where=f"{path}, line {number}",
                next="correct it",
            )
        if any(holds_password(value) for value in row.values()):
            raise SettingsError(
                "the file holds a password",
                where=f"{path}, line {number} (not shown)",
                next="write env:NAME or a service in its place, or leave the password to .pgpass",
            )
        found.append(_member({key.strip(): value.strip() for key, value in row.items()}, str(path), number=number))
    return found


def _from_variable(variable: str, place: str) -> list[Member]:
    value = os.environ.get(variable, "")
    if not value.strip():
        raise SettingsError(
            f"the environment variable {variable} is missing or empty",
            where=place,
            next=f"export {variable} with a URL a line, each perhaps led by NAME=",
        )
    found = []
    for piece in value.split():
        head, _, _ = piece.partition("://")
        name, sign, scheme = head.rpartition("=")
        url = piece[len(name) + 1 :] if sign else piece
        if not scheme.lower().startswith("postgres"):
            remember_conninfo(piece)
            raise SettingsError(
                f"a member in {variable} is not a URL (not shown)",
                where=place,
                next="postgresql://user@host/database, or NAME=postgresql://...",
            )
        found.append(_member({"name": name, "url": url}, f"{place}: {variable}"))
    return found


def _service_files() -> Iterable[Path]:
    yield Path(os.environ.get("PGSERVICEFILE") or Path.home() / ".pg_service.conf")
    if folder := os.environ.get("PGSYSCONFDIR"):
        yield Path(folder) / "pg_service.conf"


def _from_services(pattern: str, place: str) -> list[Member]:
    found: dict[str, Member] = {}
    looked = []
    for path in _service_files():
        looked.append(str(path))
        if not path.is_file():
            continue
        parser = ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (Error, UnicodeDecodeError):
            raise SettingsError("the service file cannot be read", where=str(path), next="correct it") from None
        for service in parser.sections():
            if fnmatch.fnmatchcase(service, pattern) and service not in found:
                section = parser[service]
                server = (
                    f"{section.get('host') or section.get('hostaddr') or 'local socket'}:{section.get('port') or 5432}"
                )
                conninfo = f"service={service}"
                found[service] = Member(service, conninfo, server, section.get("dbname") or service, "", {})
    if not found:
        raise SettingsError(
            f"no service is called {pattern}",
            where=f"{place}; looked in {', '.join(looked)}",
            next="correct the pattern",
        )
    return list(found.values())
