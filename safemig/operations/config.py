"""config: the settings in force and where each comes from; and the JSON Schema of the settings file, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safemig.results import Configuration, SettingInForce
from safemig.secrets import hide
from safemig.settings import Environment, Scratch, Settings, where_settings_come_from
from safemig.settings_file import find_settings

SCHEMA_DRAFT = "http://json-schema.org/draft-07/schema#"  # what taplo and Even Better TOML read


def config(settings: Settings) -> Configuration:
    """Return every setting with its value and where that comes from. Reads no database.

    Raises:
        SettingsError: the file is no longer readable.
    """
    file, _ = find_settings(settings.folder)
    sources = where_settings_come_from(settings.folder)
    found = [
        SettingInForce(name, hide(_toml(getattr(settings, name))), sources.get(name, "default"))
        for name in Settings.model_fields
        if name not in ("folder", "environments")
    ]
    given = settings.environments.items()
    from_file = sources.get("environments", "default")
    found += [SettingInForce(f"environments.{name}", hide(_toml(each)), from_file) for name, each in given]
    return Configuration(file, tuple(found))


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of `safemig.toml`, or of `[tool.safemig]` in pyproject.toml."""
    made = Settings.model_json_schema()
    made["properties"].pop("folder")  # where the file is, not what is in it
    definitions = made["$defs"]
    for kind, keys in ((Environment, ("url", "service")), (Scratch, ("url", "service", "command"))):
        definition = definitions[kind.__name__]
        definition["description"] = str(kind.__doc__).splitlines()[0]
        definition["oneOf"] = [{"required": [key]} for key in keys]
        for key in keys:  # TOML has no null
            definition["properties"][key] = {"type": "string"}
    definitions["Environment"]["properties"]["url"] = definitions["Scratch"]["properties"]["url"] = {
        "type": "string",
        "description": "env:NAME, the variable with the URL; or a URL without a password.",
    }
    made["properties"]["scratch"] = {
        "$ref": "#/$defs/Scratch",
        "description": Settings.model_fields["scratch"].description,
    }
    text = json.dumps(made).replace("#/$defs/", "#/definitions/")
    schema: dict[str, Any] = json.loads(text)
    schema["definitions"] = schema.pop("$defs")
    title = {"$schema": SCHEMA_DRAFT, "title": "Settings of safemig (safemig.toml)"}
    return {**title, **{key: value for key, value in schema.items() if key != "title"}}


def _toml(value: Any) -> str:
    if isinstance(value, Environment):
        shown = {key: each for key, each in value.model_dump().items() if each is not None}
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in shown.items()) + "}"
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
