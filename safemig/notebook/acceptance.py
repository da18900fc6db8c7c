"""Write an acceptance where it belongs: into `accept` of the project's safemig.toml, beside those that are there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from safemig.errors import SettingsError
from safemig.review import Acceptance
from safemig.settings_file import FILE_NAME

_LIST = re.compile(r"^accept[ \t]*=[ \t]*\[", re.MULTILINE)
_FIRST_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def write_acceptance(folder: Path, rule: str, name: str, reason: str) -> str:
    """Add `rule:name: reason` to the settings file in `folder` and return it. Everything else there stays as it is.

    Raises:
        SettingsError: the reason is empty, there is no settings file, or it has a form that cannot be edited safely.
    """
    text = f"{rule}:{name}: {' '.join(reason.split())}"
    Acceptance.parse(text)
    file = folder / FILE_NAME
    if not file.is_file():
        raise SettingsError(f"there is no {FILE_NAME} to write it into", where=str(folder), next="safemig init")
    before = file.read_text(encoding="utf-8")
    after = _with(before, text)
    wanted = tomllib.loads(before)
    if text in wanted.get("accept", []):
        return text
    wanted["accept"] = [text, *wanted.get("accept", [])]
    # The file is edited as text, to keep its comments; so what came of it is compared as data before it is written.
    try:
        is_right = tomllib.loads(after) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise SettingsError(
            f"{FILE_NAME} has a form that cannot be edited safely",
            where=str(file),
            next=f'write it yourself: accept = ["{text}"]',
        )
    file.write_text(after, encoding="utf-8")
    return text


def _with(toml: str, text: str) -> str:
    line = f"  {json.dumps(text, ensure_ascii=False)},"
    first_table = _FIRST_TABLE.search(toml)
    head_end = first_table.start() if first_table else len(toml)
    if (found := _LIST.search(toml)) and found.start() <= head_end:
        rest = toml[found.end() :]
        return f"{toml[: found.end()]}\n{line}{rest if rest.startswith(chr(10)) else chr(10) + '  ' + rest.lstrip()}"
    return f"accept = [\n{line}\n]\n{toml}"
