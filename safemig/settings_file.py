"""Find and read the settings file. Standard library only: who needs no settings need not wait for the rest of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safemig.errors import SettingsError

FILE_NAME = "safemig.toml"
VARIABLES = "SAFEMIG_"


def has_settings(folder: str | Path) -> bool:
    """Tell whether anything is set for a project in `folder`: a file there or above, or a `SAFEMIG_*` variable.

    Raises:
        SettingsError: as `find_settings`.
    """
    if any(name.upper().startswith(VARIABLES) for name in os.environ):
        return True
    start = Path(folder).resolve()
    return not start.is_dir() or find_settings(start)[0] is not None


def find_settings(start: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the settings file at or above the folder `start`, and what it holds.

    Raises:
        SettingsError: it is no TOML, or cannot be read.
    """
    for folder in (start, *start.parents):
        if (file := folder / FILE_NAME).is_file():
            return file, _read_toml(file)
        if (file := folder / "pyproject.toml").is_file():
            content = _read_toml(file).get("tool", {}).get("safemig")
            if content is not None:
                return file, content
    return None, {}


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"not valid TOML: {error}", where=str(file), next="correct that line") from None
    except OSError as error:
        raise SettingsError(
            f"cannot be read: {error.strerror}", where=str(file), next="correct its permissions"
        ) from None
