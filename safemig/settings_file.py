"""Where the settings of a project are written, if anywhere. Loads nothing, so that a command without any stays instant."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from safemig.errors import SettingsError

FILE_NAME = "safemig.toml"


def find_settings(start: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the settings file at or above `start` and what it says; None and nothing where there is none.

    Raises:
        SettingsError: the file is no TOML, or cannot be read.
    """
    for folder in (start, *start.parents):
        if (file := folder / FILE_NAME).is_file():
            return file, _read_toml(file)
        if (file := folder / "pyproject.toml").is_file():
            content = _read_toml(file).get("tool", {}).get("safemig")
            if content is not None:
                return file, content
    return None, {}


def nothing_is_set(folder: str | Path, environment: str) -> bool:
    """Tell whether neither a file nor a variable sets anything, the URL of `environment` neither."""
    names = {name.upper() for name in os.environ}
    if f"{environment.upper()}_DATABASE_URL" in names or any(name.startswith("SAFEMIG_") for name in names):
        return False
    start = Path(folder).resolve()
    return start.is_dir() and find_settings(start)[0] is None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"not valid TOML: {error}", where=str(file), next="correct that line") from None
    except OSError as error:
        raise SettingsError(
            f"cannot be read: {error.strerror}", where=str(file), next="correct its permissions"
        ) from None
