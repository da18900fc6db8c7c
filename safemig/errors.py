"""Every error that safemig raises on purpose, each with the exit code that the command line returns.

    SafemigError
    ├── SettingsError          2  settings, arguments or environment are wrong; nothing was tried
    │   └── NoSuchFileError        2  a file that was named is not there, or cannot be read
    ├── RefusedError           1  a check said no; nothing was changed
    │   ├── MigrationError         a migration file or folder is not as it must be
    │   ├── ReviewRefusedError     the review does not say SAFE TO DEPLOY
    │   ├── UnreachableError       2  a database cannot be reached or read; nothing was changed
    │   │   └── UnfitDatabaseError     1  it answers, and is not what it must be (a standby, behind a pooler, too old)
    │   ├── ToolError              a program (pg_dump, psql, a server) is missing, too old, or failed
    │   ├── BackupError            a backup could not be made, read or verified
    │   ├── RehearsalError         the rehearsal on the copy failed
    │   ├── FileError              a file or folder cannot be read or written (no space, no permission)
    │   └── UnsupportedError       asked for something that safemig cannot do (yet)
    ├── DeploymentFailedError  3  the deployment failed and was rolled back; nothing was changed
    ├── DeploymentStoppedError 4  it stopped part-way; the message names what is applied and how to go on
    └── OutcomeUnknownError    5  the outcome is unknown; the message says how to find out

A message is *what*, *where* and *next*, one line each. In a notebook only those lines are shown; an exception
that is not in this tree keeps its traceback.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, TypeVar

from safemig.secrets import hide

_T = TypeVar("_T")
_show: Callable[[object], None] | None = None


def use_display(show: Callable[[object], None]) -> None:
    """Set how a notebook shows the result that an error stands on; this module, at the bottom, knows no notebook."""
    global _show
    _show = show


class SafemigError(Exception):
    """The root: *what* happened, *where*, and what to do *next*; `result` is what was found out before the no.

    Guarantee: the text holds no password: it passes `safemig.secrets`, also a URL that a person typed where none belongs.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        next: str | None = None,  # noqa: A002
        result: object = None,
    ) -> None:
        super().__init__(hide(what))
        self.what = hide(what)
        self.where = where and hide(where)
        self.next = next and hide(next)
        self.result = result

    @property
    def lines(self) -> list[str]:
        """The message as it is shown: one to three lines, the first led by the error's name."""
        name = type(self).__name__.removesuffix("Error")
        lines = [f"{name}: {self.what}"]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.next:
            lines.append(f"next: {self.next}")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _render_traceback_(self) -> list[str]:
        """Give IPython just the message (IPython's hook for custom tracebacks), below the result it stands on."""
        if self.result is not None and _show is not None:
            _show(self.result)
        return self.lines


class SettingsError(SafemigError):
    """Settings, arguments or environment are wrong; nothing was tried."""

    exit_code = 2


class NoSuchFileError(SettingsError):
    """A file that was named is not there, or cannot be read."""


class RefusedError(SafemigError):
    """A check said no; nothing was changed."""


class MigrationError(RefusedError):
    """A migration file or the migrations folder is not as it must be."""


class ReviewRefusedError(RefusedError):
    """The review does not say SAFE TO DEPLOY."""


class UnreachableError(RefusedError):
    """A database cannot be reached or read, so no check was made; nothing was changed."""

    exit_code = 2


class UnfitDatabaseError(UnreachableError):
    """A database answers, and is not what it must be: a standby, behind a transaction pooler, too old."""

    exit_code = 1


class ToolError(RefusedError):
    """A program (pg_dump, psql, a PostgreSQL server) is missing, too old, or failed."""


class BackupError(RefusedError):
    """A backup could not be made, read or verified."""


class RehearsalError(RefusedError):
    """The rehearsal on the copy failed; production was not touched."""


class FileError(RefusedError):
    """A file or folder cannot be read or written: no space, no permission, or it is not there."""


class UnsupportedError(RefusedError):
    """safemig cannot do what was asked for; the message says what it can do instead."""


class DeploymentFailedError(SafemigError):
    """The deployment failed and was rolled back; nothing was changed."""

    exit_code = 3


class DeploymentStoppedError(SafemigError):
    """The deployment stopped part-way; the message names what is applied and the command that resumes it."""

    exit_code = 4


class OutcomeUnknownError(SafemigError):
    """The outcome is unknown (the server is gone); the message says how to find out."""

    exit_code = 5


def words_of_fault(fault: BaseException) -> str:
    """Return what an unforeseen error says, in one line, without its class where it is the system's own words."""
    if isinstance(fault, KeyboardInterrupt):
        return "interrupted"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    first = next(iter(str(fault).splitlines()), "")
    return f"{type(fault).__name__}: {first}" if first else type(fault).__name__


def file_error(error: OSError) -> FileError:
    """Return the system's error as one of ours."""
    where = ", ".join(str(each) for each in (error.filename, error.filename2) if each is not None)
    return FileError(
        f"a file or folder cannot be used: {words_of_fault(error)}",
        where=where or None,
        next="free space there, or correct its permissions; then run the same command again",
    )


def explaining_files(cls: type[_T]) -> type[_T]:
    """Let the public methods of a class raise a `FileError` where the system raises an `OSError`. A decorator."""
    for name, value in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, FunctionType):
            setattr(cls, name, _explaining(value))
        elif isinstance(value, classmethod):
            setattr(cls, name, classmethod(_explaining(value.__func__)))
    return cls


def _explaining(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def explained(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except OSError as error:
            raise file_error(error) from error

    return explained
