"""The commands that messages and views name: each with the options that it needs to run as it is printed."""

from __future__ import annotations

import shlex

PRODUCTION = "production"
STAGING = "staging"
_DEFAULTS = {"migrate-staging": STAGING}


def command_on(environment: str, verb: str, more: str = "") -> str:
    """Return the command of a verb on an environment, such as `safemig migrate-prod --target qa --resume 3f2a9c1`.

    `verb` may have arguments; one of a fleet names that itself.
    """
    is_default = environment == _DEFAULTS.get(verb, PRODUCTION) or verb.startswith("fleet ")
    target = "" if is_default else f" --target {shlex.quote(environment)}"
    return f"safemig {verb}{target}{f' {more}' if more else ''}"


def base_of(environment: str) -> str:
    """Return the command that writes what the platform of an environment provides."""
    return "safemig base" if environment == STAGING else f"safemig base {shlex.quote(environment)}"
