"""What a rule is: one small pure function, with its page and its examples beside it. `registry` collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from safemig.review.severity import Severity
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.review.scene import Scene


class Hit(NamedTuple):
    """What a rule found, before it is placed in a file. None takes the rule's own or the scene's value."""

    object: str
    message: str
    safer: str = ""
    severity: Severity | None = None
    lock: LockMode | None = None
    data_loss: bool | None = None
    statement: int | None = None  # which statement of the file it is about, for a rule on the whole file


Check = Callable[["Scene"], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A hazard. `on` names the parse nodes (or `AT_...` commands of ALTER TABLE) that the check is called with.

    `mark` is a text that stands in the JSON of every statement in which the check finds something, or empty: most
    statements lack it, and to look for it takes a tenth of the time of a call.
    """

    name: str
    title: str
    severity: Severity
    why: str
    instead: str
    err: tuple[str, ...]
    ok: tuple[str, ...]
    on: tuple[str, ...] = ()
    data_loss: bool = False
    check: Check | None = field(default=None, repr=False)
    mark: str = ""


def rule(
    name: str,
    severity: Severity,
    title: str,
    *,
    on: tuple[str, ...] | str = (),
    why: str,
    instead: str,
    err: tuple[str, ...] | str,
    ok: tuple[str, ...] | str,
    data_loss: bool = False,
    mark: str = "",
) -> Callable[[Check], Rule]:
    """Make a rule of the decorated function, which is its check; `registry` finds it by its module."""

    def make(check: Check) -> Rule:
        nodes = (on,) if isinstance(on, str) else on
        texts = tuple((one,) if isinstance(one, str) else one for one in (err, ok))
        return Rule(name, title, severity, why, instead, texts[0], texts[1], nodes, data_loss, check, mark)

    return make
