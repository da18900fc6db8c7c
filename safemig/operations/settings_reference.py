"""The settings as a page of reference, made from the settings themselves; the review makes the page of its rules."""

from __future__ import annotations

import typing
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from safemig.settings import Environment, FleetSettings, Scratch, Settings

_HEAD = """\
# The settings

Settings are in `safemig.toml`, or in `[tool.safemig]` of `pyproject.toml`, at or above the folder in which safemig is run. None is needed:
with `STAGING_DATABASE_URL` and `PRODUCTION_DATABASE_URL` in the environment, the defaults work.

Order, strongest first: an argument, `%config SafeMig`, a `SAFEMIG_*` variable, the file, the default. An unknown key, a value that is not
allowed, and a literal password are refused, with the file, the key and what is allowed.
"""
_ENVIRONMENTS = """\
## Environments

`staging` and `production` always exist; others may be added. Each says in one of two ways where its database is:
"""
_EXAMPLE = """\
```toml
[environments.production]
url = "env:PRODUCTION_DATABASE_URL"   # the variable's name, never the URL with its password

[environments.canary]
service = "canary"                    # in pg_service.conf; the password in .pgpass
```
"""
_FLEETS = """\
## Fleets

A fleet is many databases, or many schemas of one database, that get the same migrations: `safemig fleet plan`, `safemig fleet migrate`.

```toml
[fleets.tenants]
members = "sql: select name, url, region, canary from tenants on control"   # `control` is an environment
waves = ["label:canary", "1%", "10%", "rest"]
max_failures = 3
```
"""
_SCRATCH = """\
## A scratch server by a command

`command` starts a server for the copies. Its contract: within `wait_s` seconds it prints the URL of a server as one line
(other lines are ignored), and runs until SIGTERM, at which it removes what it made; after 20 s it is killed
with its children. It also ends when safemig is killed. The server is of production's major version or later, has the
extensions that production uses, and its role may create databases and roles; safemig makes a database of its own there.

```toml
[scratch]
command = "./scratch.sh"
wait_s = 300
```

With Docker, for `supabase/postgres`, `postgis/postgis` or `timescale/timescaledb`:

```sh
#!/bin/sh
name=safemig-scratch-$$
trap 'docker rm -f $name >/dev/null; exit 0' TERM INT
docker run -d --name $name -e POSTGRES_HOST_AUTH_METHOD=trust -p 127.0.0.1::5432 supabase/postgres:17.4.1.074 >/dev/null
until docker exec $name pg_isready -q; do sleep 1; done
echo "postgresql://postgres@$(docker port $name 5432)/postgres"
while true; do sleep 1; done
```

It is used by every verb that needs a copy of a database, or one made from the migrations (`generate`, `status`,
`baseline-prod`, `migrate-staging`). There the migrations run as the role that deployed them, with the rights that it has on
this server: connect as a superuser, or as a role that may act as it. The command of `--run` connects through a relay on this
machine, which sees its statements; they are reviewed as those on a local copy are.

With `holds_data = true` the command hands over a clone of production, rows and all, and the rehearsal runs in the database
that the URL names: nothing is restored, and the record says so. The clone's schema and history must be those of production at
that moment, and it must be on another server. The backup is read back, not restored.

With a branch of Neon (`neonctl branches create`, then `neonctl connection-string`, then `branches delete` in the trap), of
Supabase (`supabase branches create`), or a clone of Database Lab (`dblab clone create`), the script has the same form.
"""


def settings_page() -> str:
    """Return the reference as Markdown: every setting with its type, its default, its variable, and what it does."""
    lines = [_HEAD, "| setting | allowed | default | variable | what it is |", "|---|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        # `folder` is where the file was found; `environments` and `fleets` have their own tables.
        if name not in ("folder", "environments", "fleets"):
            variable = f"`SAFEMIG_{name.upper()}{'__URL' if _is_environment(field) else ''}`"
            default = _toml(field.default)
            cells = (f"`{name}`", _allowed(field), f"`{default}`" if default else "", variable)
            lines.append(f"| {' | '.join(cells)} | {field.description} |")
    lines += ["", _ENVIRONMENTS, "| key | variable |", "|---|---|"]
    lines += [f"| `{name}` | `SAFEMIG_ENVIRONMENTS__PRODUCTION__{name.upper()}` |" for name in Environment.model_fields]
    lines += ["", _EXAMPLE, _FLEETS, "| key | allowed | default | what it is |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {_allowed(field)} | `{_toml(field.default)}` | {field.description} |"
        for name, field in FleetSettings.model_fields.items()
    ]
    return "\n".join([*lines, "", _SCRATCH])


def _is_environment(field: FieldInfo) -> bool:
    return Scratch in typing.get_args(field.annotation)


def _allowed(field: FieldInfo) -> str:
    if _is_environment(field):
        return "table with `url` or `service`, as below, or `command` (and `wait_s`, 300 by default)"
    limits = {
        key: getattr(each, key) for each in field.metadata for key in ("ge", "le", "gt", "lt") if hasattr(each, key)
    }
    words = _words(field.annotation)
    if "ge" in limits and "le" in limits:
        return f"{words}, {limits['ge']:,} to {limits['le']:,}"
    if "ge" in limits:
        return f"{words}, at least {limits['ge']:,}"
    return words


def _words(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return " or ".join(f'`"{each}"`' for each in typing.get_args(annotation))
    if isinstance(annotation, UnionType):
        return " or ".join(_words(each) for each in typing.get_args(annotation) if each is not type(None))
    if typing.get_origin(annotation) in (tuple, list):
        return f"list of {_words(typing.get_args(annotation)[0])}s"
    if annotation is Path:
        return "folder"
    return {str: "text", int: "whole number", bool: "true or false", float: "number"}.get(annotation, str(annotation))


def _toml(value: Any) -> str:
    if value is PydanticUndefined or value is None:
        return ""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str | Path) else str(value)
