"""doctor: which verbs will work on a database, which not and why, the command for each gap, what no rehearsal will show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from safemig import live
from safemig.errors import BackupError, SafemigError, SettingsError, UnreachableError
from safemig.execution.layout import layout_for
from safemig.operations.schema_diff import is_url
from safemig.operations.status_warnings import platform_changed
from safemig.postgres import activity
from safemig.postgres.catalog.configuration import table_names
from safemig.postgres.connection import Connection, poolers
from safemig.postgres.connection.connect import connected, explained, is_pooled, read_target
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.own_rights import OwnRights, may_take, own_rights
from safemig.postgres.platforms import Platform, configuration_in, platform_of
from safemig.postgres.stand_in.needs import needs_of
from safemig.postgres.unreadable import platform_tables_left_out
from safemig.results import Diagnosis, VerbGap, VerbOutlook
from safemig.settings import PRODUCTION, STAGING, Settings
from safemig.sql.identifiers import quote_name
from safemig.workload.counted import may_see_all_statements, why_not_counted

# What each verb needs of the database and of this machine; it works where nothing of it is missing.
NEEDS: dict[str, tuple[str, ...]] = {
    "init": (),
    "generate": ("staging", "server"),
    "review": ("database",),
    "rehearse": ("database", "dump", "read all", "server", "history", "role"),
    "backup_prod": ("database", "dump", "read all"),
    "migrate_staging": ("staging", "server"),
    "migrate_prod": ("database", "dump", "read all", "server", "history", "role", "write", "own"),
    "rollback_prod": ("database", "dump", "read all", "server", "history", "role", "write", "own"),
    "restore_prod": ("database", "dump", "write", "new database"),
    "sync_prod": ("database", "dump", "read all", "history", "role", "write", "own", "empty"),
    "baseline_prod": ("database", "server", "history", "write"),
    "workload": ("database", "statements"),
    "db_status": ("database", "server"),
    "schema_diff": ("database",),
    "deployments": (),
}
_NO_SECOND_DATABASE = ("Supabase", "Heroku Postgres")
_MOST_FIXES = 20
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Gap:
    """Something that is missing; where it `only_limits`, verbs that need it still work for the rest."""

    need: str
    why: str
    fixes: tuple[str, ...] = ()
    only_limits: bool = False
    is_by_design: bool = False  # a refusal that is right; nothing to correct


@live.act("doctor")
def doctor(settings: Settings, target: str = PRODUCTION) -> Diagnosis:
    """Ask a database, by environment or URL, and this machine what each verb needs. Reads only.

    What this machine's servers lack is looked up as a rehearsal does; nothing of the database is copied.

    Raises:
        SettingsError: there is no such environment, or its variable is not set.
    """
    conninfo, name = (target, "the database") if is_url(target) else (settings.conninfo(target), target)
    try:
        with live.stage(f"ask {name}"), explained(conninfo, name), connected(conninfo, name) as connection:
            platform = platform_of(connection)
            own = own_rights(connection, platform.schemas, layout_for(settings).history_names)
            gaps = [*_of_connection(connection, own), *_of_rights(own), *_of_role(connection, settings.deploy_as)]
            gaps += _of_statements(connection, own)
            gaps += [
                *_of_restore(own, platform),
                *_of_rows(connection, platform),
                *_of_programs(connection, conninfo, own),
            ]
            lacks, machine = _of_machine(connection) if settings.scratch is None else ((), [])
            gaps += [*machine, *_of_staging(settings, name, is_url(target))]
            return Diagnosis(
                environment=name,
                target=read_target(connection, name),
                platform=platform.name or "a server of your own, or an unknown platform",
                role=own.role,
                session_role=own.session_role,
                attributes=own.attributes,
                member_of=own.member_of,
                verbs=tuple(_outlook(verb, needs, gaps) for verb, needs in NEEDS.items()),
                gaps=tuple(map(_shown, gaps)),
                not_rehearsed=lacks,
                notes=(
                    *_notes(own, platform),
                    *_of_copies(settings, name, connection, platform),
                    *_of_configuration(settings, connection, platform),
                ),
            )
    except UnreachableError as error:
        return _unreachable(name, error)


def _of_connection(connection: Connection, own: OwnRights) -> Iterator[_Gap]:
    if own.is_standby:
        yield _Gap("write", "a standby: it cannot be written to", ("connect to the primary",))
    if is_pooled(connection):
        fix = f"connect to {poolers.instead(connection)}"
        yield _Gap("write", "a pooler in transaction mode stands between", (fix,))
    if any(_read_only(connection)):
        yield _Gap("write", "sessions of this role are read-only by a setting", (
            f"ALTER ROLE {quote_name(own.session_role)} RESET default_transaction_read_only;",))  # fmt: skip


def _read_only(connection: Connection) -> Iterator[bool]:
    question = (
        "SELECT EXISTS (SELECT FROM pg_db_role_setting s, unnest(setconfig) e WHERE e = 'default_transaction_read_only=on'"
        " AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
        " AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)))"
    )
    ((found,),) = activity.ask(connection, question)
    yield bool(found)


def _of_rights(own: OwnRights) -> Iterator[_Gap]:
    if own.unreadable:
        names = [relation for relation, *_ in own.unreadable]
        grants = tuple(dict.fromkeys(part.strip() for *_, grant in own.unreadable for part in grant.splitlines()))
        if own.version_num >= 140000 and len(names) > _MOST_NAMED:
            grants = (f"GRANT pg_read_all_data TO {quote_name(own.role)};",)
        yield _Gap("read all", f"may not read {_some(names)}", grants)
    if own.hidden:
        bypass = f"ALTER ROLE {quote_name(own.role)} BYPASSRLS;"
        yield _Gap("read all", f"row security hides rows of {_some(own.hidden)}", (bypass,))
    for owner, count, one in own.of_others:
        yield _Gap(
            "own", f"may not alter what belongs to {owner}: {one}" + (f" and {count - 1} more" if count > 1 else ""),
            (f"GRANT {quote_name(owner)} TO {quote_name(own.role)};",), only_limits=True,
        )  # fmt: skip
    if own.missing_history and not own.may_create_schemas:
        grant = f"GRANT CREATE ON DATABASE {quote_name(own.database)} TO {quote_name(own.role)};"
        yield _Gap("history", f"may not make schema {' and '.join(own.missing_history)}", (grant,))
    if own.history_grants:
        yield _Gap("history", "may not write the history of migrations", own.history_grants)


def _of_role(connection: Connection, deploy_as: str) -> Iterator[_Gap]:
    if not deploy_as:
        return
    allowed = may_take(connection, deploy_as)
    if allowed is None:
        yield _Gap(
            "role", f"deploy_as = {deploy_as}: there is no such role", (f"CREATE ROLE {quote_name(deploy_as)};",)
        )
    elif not allowed:
        grant = f"GRANT {quote_name(deploy_as)} TO CURRENT_USER;"
        yield _Gap("role", f"deploy_as = {deploy_as}: SET ROLE is not allowed", (grant,))


def _of_restore(own: OwnRights, platform: Platform) -> Iterator[_Gap]:
    here = "restore-prod --tables all (or TABLE,...) --put-back restores within this one"
    if platform.name in _NO_SECOND_DATABASE and not own.is_superuser:
        yield _Gap("new database", f"{platform.name} serves no second database to swap in; {here}", only_limits=True)
    elif not own.may_create_databases:
        create = f"ALTER ROLE {quote_name(own.role)} CREATEDB;"
        yield _Gap("new database", f"may not make a database beside this one; {here}", (create,), only_limits=True)
    elif not own.owns_database:
        give = f"GRANT {quote_name(own.database_owner)} TO {quote_name(own.role)};"
        yield _Gap("new database", f"may not rename the database, which is {own.database_owner}'s, so no swap; {here}",
                   (give,), only_limits=True)  # fmt: skip


def _of_rows(connection: Connection, platform: Platform) -> Iterator[_Gap]:
    for schema, table in activity.ask(connection, activity.WHICH_TABLES_HOLD_DATA):
        if schema in platform.schemas:
            continue
        name = quote_name(schema, table)
        with suppress(psycopg.errors.InsufficientPrivilege):
            if connection.execute(f"SELECT FROM {name} LIMIT 1".encode()).fetchone() is not None:
                yield _Gap("empty", f"{name} holds rows; it is for an empty database only", is_by_design=True)
                return


def _of_programs(connection: Connection, conninfo: str, own: OwnRights) -> Iterator[_Gap]:
    try:
        left_out = platform_tables_left_out(connection)
    except BackupError as error:
        if not own.unreadable:  # else it is told with its grants
            yield _Gap("read all", error.what, (error.next,) if error.next else ())
        return
    try:
        with live.stage("try pg_dump, without rows"):
            dump_schema(conninfo, own.version_num, without=left_out)
    except SafemigError as error:
        where = f" ({error.where})" if error.where else ""
        yield _Gap("dump", f"{error.what}{where}", (error.next,) if error.next else ())


def _of_machine(connection: Connection) -> tuple[tuple[str, ...], list[_Gap]]:
    try:
        with live.stage("look at the servers on this machine"):
            return needs_of(connection).exceptions, []
    except SafemigError as error:
        return (), [_Gap("server", error.what, (error.next,) if error.next else ())]


def _of_staging(settings: Settings, name: str, is_given_by_url: bool) -> Iterator[_Gap]:
    if name == STAGING or is_given_by_url:
        return
    try:
        conninfo = settings.conninfo(STAGING)
        with live.stage(f"ask {STAGING}"), explained(conninfo, STAGING), connected(conninfo, STAGING):
            return
    except (UnreachableError, SettingsError) as error:
        yield _Gap("staging", error.what, (error.next,) if error.next else ())


def _shown(gap: _Gap) -> VerbGap:
    verbs = tuple(verb for verb, needs in NEEDS.items() if gap.need in needs)
    more = (f"-- and {len(gap.fixes) - _MOST_FIXES} more",) if len(gap.fixes) > _MOST_FIXES else ()
    word = "limited" if gap.only_limits else "refuses" if gap.is_by_design else "will not work"
    return VerbGap(gap.why, verbs, word, (*gap.fixes[:_MOST_FIXES], *more))  # type: ignore[arg-type]


def _of_statements(connection: Connection, own: OwnRights) -> Iterator[_Gap]:
    """Yield why the application's statements cannot be collected from the server; files can be, anywhere."""
    if problem := why_not_counted(connection):
        yield _Gap("statements", problem, ("CREATE EXTENSION pg_stat_statements;",), only_limits=True)
    elif not own.is_superuser and not may_see_all_statements(connection):
        grant = f"GRANT pg_read_all_stats TO {quote_name(own.role)};"
        yield _Gap("statements", "sees its own statements only", (grant,), only_limits=True)


def _outlook(verb: str, needs: Sequence[str], gaps: Sequence[_Gap]) -> VerbOutlook:
    met = [gap for gap in gaps if gap.need in needs]
    stopping = [gap for gap in met if not gap.only_limits]
    why = "; ".join(gap.why for gap in met)
    fixes = tuple(dict.fromkeys(fix for gap in met for fix in gap.fixes))
    more = (f"-- and {len(fixes) - _MOST_FIXES} more",) if len(fixes) > _MOST_FIXES else ()
    if not met:
        return VerbOutlook(verb, "works")
    word = "limited" if not stopping else "refuses" if all(gap.is_by_design for gap in stopping) else "will not work"
    return VerbOutlook(verb, word, why, (*fixes[:_MOST_FIXES], *more))  # type: ignore[arg-type]


def _notes(own: OwnRights, platform: Platform) -> Iterator[str]:
    if theirs := sorted(platform.schemas - {"supabase_migrations"}):  # which is the history, safemig's too
        yield f"left to the platform: {', '.join(theirs)}"
    if not own.may_see_sessions and not own.is_superuser:
        yield (
            "who blocks a waiting statement is not seen in full; "
            f"GRANT pg_monitor TO {quote_name(own.role)}; shows it"
        )  # fmt: skip


def _of_copies(settings: Settings, name: str, connection: Connection, platform: Platform) -> Iterator[str]:
    """Yield what copies begin with, and where they are made, as far as that is not this machine."""
    if settings.scratch is not None:
        how = "its command starts" if settings.scratch.command else "its URL names"
        yield f"copies are made on the server that [scratch] names ({how} it): what a rehearsal cannot show there is not known here"
    if not platform:
        return
    if changed := platform_changed(settings, name, connection):
        yield changed
    elif not settings.path("base").is_file():
        yield f"no {settings.base}: copies begin with what the platform has now; to keep that for review and CI: safemig base"


def _of_configuration(settings: Settings, connection: Connection, platform: Platform) -> Iterator[str]:
    named = table_names(settings.configuration_rows)
    if others := [each for each in configuration_in(connection, platform) if each not in named]:
        said = ", ".join(f'"{each}"' for each in (*settings.configuration_rows, *others))
        yield f"rows of {', '.join(others)} are not compared; to compare them: configuration_rows = [{said}]"


def _unreachable(name: str, error: UnreachableError) -> Diagnosis:
    problem = f"{error.what} ({error.where})" if error.where else error.what
    fixes = (error.next,) if error.next else ()
    gone = [_Gap("database", error.what, fixes)]
    verbs = tuple(_outlook(verb, needs, gone) for verb, needs in NEEDS.items())
    return Diagnosis(environment=name, target=None, verbs=verbs, gaps=tuple(map(_shown, gone)), problem=problem)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
