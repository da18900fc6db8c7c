"""Who runs this: the one answer that records, history, journal, manifests and approvals give."""

from __future__ import annotations

import getpass
import os

# In this order: what a person or a job says on purpose, then what the CI says by itself.
SAYS_WHO = ("SAFEMIG_BY", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")


def who() -> str:
    """Return who runs this: the first of `SAFEMIG_BY` and the CI's own variables that is set, else the login name.

    Never raises: where this uid has no entry in the system's list of users, as in many containers, it is `uid 1000`.
    A name is as trustworthy as what says it.
    """
    for variable in SAYS_WHO:
        if name := os.environ.get(variable, "").strip():
            return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
