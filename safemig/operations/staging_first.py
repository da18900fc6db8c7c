"""Whether staging has what is pending for production: a change that staging never had was never tried by anyone."""

from __future__ import annotations

from safemig.errors import SettingsError, UnreachableError
from safemig.execution.environment import open_environment, standing_of
from safemig.postgres.connection import Connection
from safemig.results import Check, CheckState
from safemig.settings import STAGING, Settings

NAME = "staging has it"


def staging_first(environment: str, settings: Settings, connection: Connection) -> Check:
    """Hold what is pending for `environment` against staging's history. Reads both only.

    With `require_staging` a migration that staging lacks, and a staging that cannot be asked, fail; else they warn.
    """
    needed = "each pending migration applied to staging"
    pending = standing_of(settings, connection).pending
    if environment == STAGING or not pending:
        return Check(NAME, "ok", "this is staging" if environment == STAGING else "nothing is pending", needed)
    bad: CheckState = "failed" if settings.require_staging else "warning"
    if not settings.environment(STAGING).is_set:
        state: CheckState = "failed" if settings.require_staging else "ok"
        fix = "set STAGING_DATABASE_URL, or require_staging = false" if settings.require_staging else ""
        return Check(NAME, state, "staging is not set", needed, fix)
    try:
        with open_environment(settings, STAGING) as staging:
            there = {each.version for each in standing_of(settings, staging).applied}
    except (UnreachableError, SettingsError) as error:
        return Check(NAME, bad, f"staging cannot be read: {error.what}", needed, error.next or "")
    if lacking := [each.file for each in pending if each.version not in there]:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return Check(
            NAME, bad, f"not applied to staging: {', '.join(lacking[:3])}{more}", needed, "safemig migrate-staging"
        )
    return Check(NAME, "ok", f"all {len(pending)} applied", needed)
