"""Let plain papermill read the shipped runbooks: `papermill safemig://migrate_prod.ipynb out.ipynb`.

Imports nothing of papermill: papermill loads this module while it is itself being imported, and every papermill
command of the environment would break on the circle.
"""

from __future__ import annotations

from pathlib import Path

SCHEME = "safemig://"
_PACKAGE = Path(__file__).resolve().parent.parent


def runbooks_folder() -> Path:
    """Return the folder of the shipped runbooks: inside the wheel, or beside the package in a checkout."""
    shipped = _PACKAGE / "_runbooks"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "runbooks"


class RunbookHandler:
    """papermill's handler for paths that begin with `safemig://`. Reads only."""

    @classmethod
    def read(cls, path: str) -> str:
        """Return the runbook's text. Raises FileNotFoundError naming those that exist."""
        name = path.removeprefix(SCHEME)
        names = cls.listdir(SCHEME)
        if f"{SCHEME}{name}" not in names:
            known = ", ".join(each.removeprefix(SCHEME) for each in names)
            raise FileNotFoundError(f"no runbook {name!r}; safemig has {known}")
        return (runbooks_folder() / name).read_text(encoding="utf-8")

    @classmethod
    def listdir(cls, path: str) -> list[str]:  # noqa: ARG003  papermill's signature; there is one folder
        """Return the paths of all runbooks."""
        return sorted(SCHEME + each.name for each in runbooks_folder().glob("*.ipynb"))

    @classmethod
    def write(cls, buf: str, path: str) -> None:  # noqa: ARG003  papermill's signature
        """Refuse: runbooks are part of safemig."""
        raise PermissionError(f"{path} is read only; give papermill another output path")

    @classmethod
    def pretty_path(cls, path: str) -> str:
        """Return the path as people should see it."""
        return path
