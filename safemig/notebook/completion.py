"""Complete what a magic takes: options, environments, migration files, backups, rollback scripts, topics."""

# IPython's decorators have no types.
# mypy: disable-error-code="no-untyped-call, untyped-decorator"

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from safemig.errors import SafemigError

if TYPE_CHECKING:
    from safemig.notebook.magics import SafeMig

_LINE = re.compile(r"\s*%%?(?P<magic>\w+)\s+(?P<rest>.*)\Z")
_ENVIRONMENT_OPTIONS = ("--target", "--source", "--environment")
_TOPICS = ("commands", "workflow", "checklist", "emergency", "npm", "rules", "settings")


def complete_magics(magics: SafeMig) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return a matcher for the magics of `magics`.

    It reads the project's folders only; but for `--drop`, whose names only the database's server knows.
    """

    @context_matcher()
    def safemig_matcher(context: CompletionContext) -> SimpleMatcherResult:
        match = _LINE.match(context.line_with_cursor[: context.cursor_position])
        if match is None or match["magic"] not in magics.magics["line"]:
            return {"completions": []}
        actions = getattr(magics, match["magic"]).parser._option_string_actions
        words = match["rest"].split()
        token = "" if not match["rest"] or match["rest"][-1].isspace() else words.pop()
        options = [each for each in actions if each.startswith("--") and each != "--help"]
        found = _choices(magics, match["magic"], token, words, options)
        wants_value = bool(words) and words[-1] in actions and actions[words[-1]].nargs != 0
        if not found and not token and not wants_value:
            found = options  # IPython asks others where there is nothing, and they offer Python's names
        return {
            "completions": [SimpleCompletion(each) for each in sorted(found) if each.startswith(token)],
            "suppress": True,
            "matched_fragment": token,
        }

    matcher: Callable[[CompletionContext], SimpleMatcherResult] = safemig_matcher
    return matcher


def _choices(magics: SafeMig, magic: str, token: str, words: list[str], options: list[str]) -> Collection[str]:
    before = words[-1] if words else ""
    if token.startswith("-"):
        return options
    if before in _ENVIRONMENT_OPTIONS:
        return _environments(magics)
    if before == "--drop":
        return _left_by_restores(magics, dict(pairwise(words)).get("--target", magics.target))
    match magic:
        case "schema_diff":
            return _environments(magics)
        case "migration_review":
            return _files(magics, "migrations", "*.sql")
        case "rollback_prod":
            return _files(magics, "backups", "*/rollback_*.sql")
        case "restore_prod":
            return [_timestamp(each) for each in _files(magics, "backups", "*/manifest_*.json")]
        case "deploy_help":
            return _TOPICS
        case _:
            return []


def _environments(magics: SafeMig) -> list[str]:
    return list(magics._project().settings.environments)


def _left_by_restores(magics: SafeMig, environment: str) -> tuple[str, ...]:
    from psycopg import Error as PsycopgError

    from safemig.operations.drop_replaced import names_left

    # Who presses Tab asks for names; what is wrong with the server, the command will say.
    with suppress(SafemigError, PsycopgError):
        return names_left(magics._project().settings, environment)
    return ()


def _files(magics: SafeMig, folder: str, pattern: str) -> list[str]:
    settings = magics._project().settings
    home = settings.path(folder)  # type: ignore[arg-type]
    return [str(path.relative_to(settings.folder)) for path in sorted(home.glob(pattern))]


def _timestamp(manifest: str) -> str:
    return Path(manifest).stem.removeprefix("manifest_")
