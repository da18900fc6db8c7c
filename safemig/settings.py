"""Settings: `safemig.toml`, `[tool.safemig]` in pyproject.toml, the environment; typed, and free of secrets.

Order, strongest first: argument > `SAFEMIG_*` variable > file > default. The defaults work with
`STAGING_DATABASE_URL` and `PRODUCTION_DATABASE_URL` alone.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from safemig.commands import PRODUCTION as PRODUCTION
from safemig.commands import STAGING as STAGING
from safemig.commands import command_on as command_on
from safemig.connection_urls import ignored_in, readable
from safemig.errors import SettingsError
from safemig.secrets import holds_password, remember_conninfo
from safemig.settings_file import FILE_NAME as FILE_NAME
from safemig.settings_file import VARIABLES, find_settings

_ENVIRONMENT = re.compile(r"SAFEMIG_ENVIRONMENTS__[^_].*__(URL|SERVICE)\Z")
_WAVE = re.compile(r"label:[^=\s]+(=.*)?|\d{1,3}%|\d+|rest")
_PLAIN = re.compile(r"[\w.-]{1,64}")


def _without_password(value: object) -> object:
    if isinstance(value, str) and not value.startswith("env:") and holds_password(value):
        raise ValueError(
            "holds a password; put the URL into an environment variable and write env:NAME, or use a service"
        )
    return value


def _notification(entry: str) -> str:
    """Refuse an entry of `notify` that cannot be meant, or that is a webhook's URL: who has it can post as the team."""
    rest = entry.removeprefix("slack ").strip()
    if rest.startswith(("http://", "https://")):
        raise ValueError("holds a webhook's URL, which is a secret; put it into an environment variable: env:NAME")
    if entry.startswith("slack ") and not rest.startswith("env:"):
        raise ValueError('Slack\'s form needs the variable that holds the URL, such as "slack env:SLACK_WEBHOOK_URL"')
    try:
        words = shlex.split(entry)
    except ValueError as error:
        raise ValueError(f"not a command: {str(error).lower()}") from None
    if not words or rest == "env:":
        raise ValueError('an entry is a command, "env:NAME" or "slack env:NAME"')
    return entry


class Environment(BaseModel):
    """Where one database is: `url = "env:NAME"`, a URL without a password, or a libpq `service`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str | None, BeforeValidator(_without_password)] = None
    service: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Environment:
        if (self.url is None) == (self.service is None):
            raise ValueError('needs either url = "env:NAME" or service = "name"')
        return self

    @property
    def is_set(self) -> bool:
        """False where the environment variable does not exist; one that is empty is set, and wrongly so."""
        return not (self.url or "").startswith("env:") or (self.url or "").removeprefix("env:") in os.environ

    @property
    def ignored(self) -> tuple[str, ...]:
        """The parameters in its URL that other clients know, and libpq does not: they are left out."""
        url = self.url or ""
        return ignored_in(os.environ.get(url.removeprefix("env:"), "") if url.startswith("env:") else url)

    def conninfo(self, name: str) -> str:
        """Return the connection string; it may hold a password, so it goes to libpq and nowhere else.

        Raises:
            SettingsError: the environment variable is not set, or the URL's password is not percent-encoded.
        """
        if self.service is not None:
            return f"service={self.service}"
        url = self.url or ""
        if not url.startswith("env:"):
            return readable(url, name, f"{FILE_NAME}, environment {name}")
        variable = url.removeprefix("env:")
        if value := os.environ.get(variable):
            remember_conninfo(value)
            return readable(value, name, f"the environment variable {variable}")
        raise SettingsError(
            f"the {name} database is not set: the environment variable {variable} is missing or empty",
            where=f'environment "{name}", url = "{url}"',
            next=f"export {variable}=postgresql://user@host/database, or write [environments.{name}] into {FILE_NAME}",
        )


class Scratch(Environment):
    """A server for copies: an environment's `url` or `service`, or `command`, a program that starts one."""

    command: str | None = None
    wait_s: int = Field(300, ge=1, le=7200)
    holds_data: bool = False  # what the command hands over is a clone of production, rows and all

    @model_validator(mode="after")
    def _one_of_both(self) -> Scratch:
        if self.holds_data and self.command is None:
            raise ValueError("holds_data needs command: a clone is used up by one rehearsal")
        if [self.url, self.service, self.command].count(None) != 2:
            raise ValueError('needs one of url = "env:NAME", service = "name" and command = "program arguments"')
        return self


class MemberEnvironment(Environment):
    """The database of a fleet's member: its connection string was read from the fleet's source, and stays in memory."""

    secret: SecretStr

    @model_validator(mode="after")
    def _one_of_both(self) -> MemberEnvironment:
        return self  # it has the string itself

    @property
    def ignored(self) -> tuple[str, ...]:
        """The parameters of its URL that libpq does not know."""
        return ignored_in(self.secret.get_secret_value())

    def conninfo(self, name: str) -> str:
        """Return the connection string (see `Environment.conninfo`)."""
        value = self.secret.get_secret_value()
        remember_conninfo(value)
        return readable(value, name, "the fleet's list of members")


class FleetSettings(BaseModel):
    """Many databases, or many schemas of one, that get the same migrations: who they are, and how they are deployed to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: Annotated[str, BeforeValidator(_without_password)] = Field(
        "",
        description="The databases: `sql: select name, url, region from tenants on ENVIRONMENT`, `file: tenants.csv`, "
        "`env:NAME` (URLs, one per line) or `service: tenant_*`.",
    )
    schemas: Annotated[str, BeforeValidator(_without_password)] = Field(
        "",
        description="Instead of `members`: the schemas of one database, `sql: select schema, tier from tenants on ENVIRONMENT`.",
    )
    waves: tuple[str, ...] = Field(
        ("1%", "10%", "rest"),
        description="Which members come first: `label:NAME`, `label:NAME=VALUE`, a percentage or a number of members, `rest`.",
    )
    max_failures: int = Field(1, ge=1, description="How many failed members stop the deployment.")
    max_parallel: int = Field(8, ge=1, le=1000, description="How many members are deployed to at a time.")
    max_parallel_per_server: int = Field(4, ge=1, le=1000, description="How many of these on one server.")
    unfit: Literal["stop", "set_aside"] = Field(
        "stop",
        description="What a member that cannot be deployed to (drifted, violating rows, unreachable) does to a plan.",
    )
    backup: str = Field(
        "member",
        description="`member`: each is backed up before; `server: WORDS`: you declare a backup of the servers; `none`.",
    )
    rehearse_on: str = Field(
        "", description="The label of the members that rehearse; empty: the largest of the first wave."
    )
    check_timeout_s: int = Field(30, ge=1, le=3600, description="How long one check of a member's rows may take.")
    scheduler: str = Field("", description="A Dask scheduler, `tls://host:8786`; empty: workers on this machine.")
    scheduler_ca: str = Field(
        "",
        description="Of a `tls://` scheduler, the file with the authority's certificate; empty: as Dask's configuration says.",
    )
    scheduler_certificate: str = Field("", description="With `scheduler_ca`: the file with the runner's certificate.")
    scheduler_key: str = Field("", description="With `scheduler_ca`: the file with the key of that certificate.")

    @model_validator(mode="after")
    def _is_whole(self) -> FleetSettings:
        if bool(self.members) == bool(self.schemas):
            raise ValueError("needs either members or schemas")
        if not self.waves:
            raise ValueError('waves must name at least one, such as ["rest"]')
        for wave in self.waves:
            if not _WAVE.fullmatch(wave):
                raise ValueError(f"waves: {wave!r} is none of label:NAME, label:NAME=VALUE, 10%, 25, rest")
        if not (self.backup in ("member", "none") or re.fullmatch(r"server:\s*\S.*", self.backup)):
            raise ValueError('backup is "member", "none" or "server: when and how it was taken"')
        tls = [self.scheduler_ca, self.scheduler_certificate, self.scheduler_key]
        if any(tls) and not (all(tls) and self.scheduler.startswith("tls://")):
            raise ValueError(
                "scheduler_ca, scheduler_certificate and scheduler_key go together, with a scheduler that begins with tls://"
            )
        return self


class Settings(BaseSettings):
    """All settings of a project; paths are relative to `folder`, the project's own."""

    model_config = SettingsConfigDict(
        env_prefix=VARIABLES,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    folder: Path = Field(Path(), description="The project's folder; every other path is relative to it.")
    migrations: Path = Field(Path("supabase/migrations"), description="Where the migration files are.")
    layout: Literal[
        "", "supabase", "timestamped", "flyway", "golang-migrate", "dbmate", "goose", "sql-migrate", "prisma", "drizzle",
        "sqitch", "alembic", "django", "rails-structure", "knex", "typeorm",
    ] = Field(
        "", description="The tool whose layout the migration files have; empty: recognised from the folder, else by timestamp."
    )  # fmt: skip
    history_table: str = Field("", description="The tool's history table (or schema), if the team has renamed it.")
    backups: Path = Field(
        Path("backups"), description="Where backups and rollback scripts go, one folder per environment."
    )
    records: Path = Field(Path("records"), description="Where executed notebooks go, one folder per environment.")
    base: Path = Field(
        Path("supabase/base.sql"),
        description="What the platform provides before the first migration; written by safemig base.",
    )
    checks: Path = Field(Path("checks"), description="The project's own checks: *.sql, each must return no rows.")
    workloads: Path = Field(
        Path("workload"), description="Where the application's statements are kept, one file per environment."
    )
    workload_from: str = Field(
        "",
        description="The environment whose server is asked for production's statements, such as a replica; empty: production.",
    )
    withhold_statistics: tuple[str, ...] = Field(
        (),
        description="Columns (table.column, with * and ?) whose common values are withheld from the planner of the rehearsal's copy.",
    )
    plan_times: bool = Field(
        False,
        description="Whether the rehearsal times the application's SELECTs on its copy, with values drawn from there.",
    )
    environments: dict[str, Environment] = Field(
        default_factory=dict, description="The databases by name; staging and production always exist."
    )
    fleets: dict[str, FleetSettings] = Field(
        default_factory=dict, description="Many databases by the fleet's name, deployed to together."
    )
    scratch: Scratch | None = Field(
        None,
        description="A server for copies, or `command`, a program that starts one; without it, a throwaway "
        "one is started on this machine.",
    )
    schemas: tuple[str, ...] = Field(
        (), description="Schemas to manage; empty: all but PostgreSQL's and the platform's."
    )
    configuration_rows: tuple[str, ...] = Field(
        (),
        description="Tables whose rows are configuration, such as storage.buckets and cron.job: generate, schema_diff and drift "
        "compare them, and a rollback gives them their former values. With columns, only these: public.plans(code, price).",
    )
    accept: tuple[str, ...] = Field((), description='Findings accepted: "rule:object: reason".')
    review_level: Literal["strict", "default", "relaxed"] = Field(
        "default",
        description="How much findings weigh: `strict` takes recommendations as cautions, `relaxed` takes what only waits for a large or "
        "busy table as a recommendation.",
    )
    backup_format: Literal["plain", "directory"] = Field(
        "plain",
        description="Full backups as SQL for psql, or in pg_dump's directory format: one file per table, for pg_restore.",
    )
    backup_jobs: int = Field(
        2, ge=1, le=64, description="How many tables a dump or restore in directory format does at a time."
    )
    compression: Literal["none", "gzip", "zstd"] = Field(
        "none", description="How full backups are stored; zstd needs safemig[zstd], and zstd -dc before psql."
    )
    keep_backups: int = Field(
        0,
        ge=0,
        description="How many good backups are kept; older ones are removed, never the last; 0 keeps all.",
    )
    deploy_as: str = Field(
        "",
        description="The role under which migrations run (SET ROLE), which owns what they make; empty: the role that connects.",
    )
    required_approvals: int = Field(
        1, ge=1, le=10, description="How many different people must approve a plan before it is run on production."
    )
    authors_may_approve: bool = Field(
        True, description="Whether an author of a pending migration (according to git) may approve it."
    )
    require_staging: bool = Field(
        False, description="Whether production may get only what staging has; without it, pre-flight warns."
    )
    owners: Literal["compare", "ignore"] = Field(
        "compare",
        description="Whether schema_diff and generate compare who owns what, as far as the role may set it.",
    )
    rehearsal: Literal["data", "schema"] = Field("data", description="What the rehearsal's copy holds.")
    transaction: Literal["all", "file"] = Field(
        "all", description="What is committed together: all pending migrations that can be, or each file by itself."
    )
    lock_timeout_ms: int = Field(100, ge=1, le=60_000, description="How long one attempt waits for a lock.")
    lock_attempts: int = Field(30, ge=1, le=10_000, description="How often a transaction is tried before giving up.")
    statement_timeout_s: int = Field(3600, ge=0, description="The longest that one statement may run; 0 for no limit.")

    notify: tuple[str, ...] = Field(
        (),
        description="Who is told of acts on a database, as JSON: commands (standard input), `env:NAME` (a variable with a webhook's "
        "URL), `slack env:NAME` (in Slack's form).",
    )

    @field_validator("notify")
    @classmethod
    def _notifications(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_notification, entries))

    _member_schema: str = PrivateAttr("")

    @property
    def member_schema(self) -> str:
        """The schema that a member of a fleet of schemas has to itself, "" elsewhere."""
        return self._member_schema

    def for_member(self, environment: str, conninfo: str, schema: str = "") -> Settings:
        """Return these settings with one more environment, a fleet's member; with `schema`, that one alone is managed."""
        member = MemberEnvironment(secret=SecretStr(conninfo))
        changes: dict[str, Any] = {"environments": {**self.environments, environment: member}}
        made = self.model_copy(update={**changes, **({"schemas": (schema,)} if schema else {})})
        made._member_schema = schema
        return made

    @model_validator(mode="after")
    def _known_environments(self) -> Settings:
        for name in self.fleets:
            if name in (*self.environments, STAGING, PRODUCTION) or not _PLAIN.fullmatch(name):
                raise ValueError(
                    f"the fleet {name!r} needs a name of its own: letters, digits, . _ and -, and no environment's"
                )
        for name in (STAGING, PRODUCTION):
            self.environments.setdefault(name, Environment(url=f"env:{name.upper()}_DATABASE_URL"))
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Put the file below the environment; pydantic-settings' hook for the order of sources."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, _FileSource(settings_cls))

    @property
    def gets_a_clone(self) -> bool:
        """Whether a rehearsal runs on a clone that a provider hands over, so that no backup is restored for it."""
        return self.scratch is not None and self.scratch.holds_data

    @property
    def restores_for_rehearsal(self) -> bool:
        """Whether a rehearsal restores the backup with its rows, which proves that, too."""
        return self.rehearsal == "data" and not self.gets_a_clone

    def path(self, name: Literal["migrations", "backups", "records", "checks", "base", "workloads"]) -> Path:
        """Return one of the project's folders as an absolute path; it need not exist."""
        relative: Path = getattr(self, name)
        return (self.folder / relative).resolve()

    def workload_file(self, environment: str) -> Path:
        """Return where the statements of that environment's application are collected; it need not exist."""
        return self.path("workloads") / f"{environment}.jsonl"

    def environment(self, name: str) -> Environment:
        """Return the environment `name`.

        Raises:
            SettingsError: there is none of that name; the message lists those that are.
        """
        if name in self.environments:
            return self.environments[name]
        shown = f'"{name}"' if _PLAIN.fullmatch(name) else "of that name (not shown: it may be a connection string)"
        raise SettingsError(
            f"there is no environment {shown}",
            where=f"known: {', '.join(sorted(self.environments))}",
            next=f"use one of those, or write [environments.{name if _PLAIN.fullmatch(name) else 'NAME'}] into {FILE_NAME}",
        )

    def fleet(self, name: str = "") -> tuple[str, FleetSettings]:
        """Return a fleet and its name; without `name`, the only one.

        Raises:
            SettingsError: there is none of that name, or several and none was named.
        """
        if not name and len(self.fleets) == 1:
            name = next(iter(self.fleets))
        if name in self.fleets:
            return name, self.fleets[name]
        known = ", ".join(sorted(self.fleets))
        shown = name if _PLAIN.fullmatch(name) else "NAME"
        raise SettingsError(
            f"there is no fleet {name!r}" if _PLAIN.fullmatch(name) else "no fleet is named",
            where=f"known: {known}" if known else f"{FILE_NAME} has no [fleets.{shown}]",
            next=f"name one of these: {known}"
            if known
            else f'write [fleets.{shown}] with members = "file: tenants.csv"',
        )

    def conninfo(self, name: str) -> str:
        """Return the connection string of the environment `name` (see `Environment.conninfo`)."""
        return self.environment(name).conninfo(name)


class _FileSource(PydanticBaseSettingsSource):
    """The settings file that `load_settings` found."""

    content: dict[str, Any] = {}  # noqa: RUF012 - set for the length of one load

    def get_field_value(self, _: Any, field_name: str) -> tuple[Any, str, bool]:
        return self.content.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        content = dict(self.content)
        environments = content.get("environments")
        if isinstance(environments, dict):
            # Sources are merged key by key; a variable's service must not meet the file's url.
            by_variable = {name.upper().split("__")[1] for name in os.environ if _ENVIRONMENT.match(name.upper())}
            content["environments"] = {
                name: value for name, value in environments.items() if name.upper() not in by_variable
            }
        return content


def load_settings(folder: str | Path = ".", **arguments: Any) -> Settings:
    """Read the settings of the project at or above `folder`; without a file, the defaults with `folder` itself.

    Raises:
        SettingsError: a file that is no TOML, an unknown key, a value that is not allowed, a password in the file.
    """
    start = Path(folder).resolve()
    if not start.is_dir():
        raise SettingsError("the project's folder does not exist", where=str(start), next="name an existing folder")
    file, content = find_settings(start)
    given = {name: value for name, value in arguments.items() if value is not None}
    return settings_of(content, file.parent if file else start, file, **given)


def settings_of(content: Mapping[str, Any], folder: Path, file: Path | None = None, **given: Any) -> Settings:
    """Return the settings of a project in `folder` whose file holds `content`.

    Raises:
        SettingsError: an unknown key, or a value that is not allowed.
    """
    _FileSource.content = dict(content)
    try:
        return Settings(folder=folder, **given)
    except ValidationError as error:
        raise _explained(error, file) from None
    finally:
        _FileSource.content = {}


def where_settings_come_from(folder: str | Path = ".") -> dict[str, str]:
    """Return where each setting that is not at its default gets its value: the file's name, or a variable's.

    Raises:
        SettingsError: as `load_settings`.
    """
    file, content = find_settings(Path(folder).resolve())
    variables = {name.upper(): name for name in os.environ}
    found = {name: file.name for name in content if file is not None}
    return found | {
        name: given for name in Settings.model_fields if (given := variables.get(f"SAFEMIG_{name.upper()}"))
    }


def _explained(error: ValidationError, file: Path | None) -> SettingsError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    source = str(file) if file else "arguments or SAFEMIG_* variables"
    if first["type"] == "extra_forbidden":
        of_part = {"environments": Environment.model_fields, "fleets": FleetSettings.model_fields}
        known = sorted(of_part.get(key.partition(".")[0], Settings.model_fields))
        return SettingsError(f'unknown setting "{key}"', where=source, next=f"allowed are: {', '.join(known)}")
    reason = first["msg"].removeprefix("Value error, ")
    # The value of a URL may be the secret itself; the message then names only the key.
    shown = "" if "url" in key or key == "environments" or first["type"] == "value_error" else f" = {first['input']!r}"
    allowed = (first.get("ctx") or {}).get("expected")
    return SettingsError(
        f"{key}{shown}: {reason}", where=source, next=f"allowed: {allowed}" if allowed else "correct the value"
    )
