"""Write an acceptance where it belongs: into `accept` of the project's settings, beside those that are there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from safemig.errors import SettingsError
from safemig.review import Acceptance
from safemig.settings_file import FILE_NAME, find_settings
from safemig.whole_files import write_atomically

_LIST = re.compile(r"^accept[ \t]*=[ \t]*\[", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
_OURS = re.compile(r"^\[tool\.safemig\][^\n]*\n?", re.MULTILINE)  # in pyproject.toml


def write_acceptance(folder: Path, rule: str, name: str, reason: str) -> str:
    """Add `rule:name: reason` to the settings file of the project in `folder` and return it. Everything else there stays as it is.

    Raises:
        SettingsError: the reason is empty, there is no settings file, or it has a form that cannot be edited safely.
    """
    text = f"{rule}:{name}: {' '.join(reason.split())}"
    Acceptance.parse(text)
    file, content = find_settings(folder)
    if file is None:
        raise SettingsError(f"there is no {FILE_NAME} to write it into", where=str(folder), next="safemig init")
    if text in content.get("accept", []):
        return text
    before = file.read_text(encoding="utf-8")
    after = _with(before, text, is_ours=file.name == FILE_NAME)
    wanted = tomllib.loads(before)
    (wanted if file.name == FILE_NAME else wanted["tool"]["safemig"])["accept"] = [text, *content.get("accept", [])]
    # The file is edited as text, to keep its comments; so what came of it is compared as data before it is written.
    try:
        is_right = tomllib.loads(after) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise SettingsError(
            f"{file.name} has a form that cannot be edited safely",
            where=str(file),
            next=f'write it yourself: accept = ["{text}"]',
        )
    write_atomically(file, after.encode())
    return text


def _with(toml: str, text: str, *, is_ours: bool) -> str:
    """Return the file with the acceptance in its head, or, where it is not ours alone, in our table's."""
    table = _OURS.search(toml)
    begin = 0 if is_ours or table is None else table.end()
    next_table = _TABLE.search(toml, begin)
    end = next_table.start() if next_table else len(toml)
    line = f"  {json.dumps(text, ensure_ascii=False)},"
    if found := _LIST.search(toml, begin, end):
        rest = toml[found.end() :]
        return f"{toml[: found.end()]}\n{line}{rest if rest.startswith(chr(10)) else chr(10) + '  ' + rest.lstrip()}"
    return f"{toml[:begin]}accept = [\n{line}\n]\n{toml[begin:]}"
