"""What a rule is, and the register of all rules: one small pure function, with its page and its examples beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from safemig.review.model import Severity
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
    """A hazard. `on` names the parse nodes (or `AT_...` commands of ALTER TABLE) that the check is called with."""

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


_RULES: dict[str, Rule] = {}
_BY_NODE: dict[str, list[Rule]] = {}


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
) -> Callable[[Check], Check]:
    """Register a rule; the decorated function is its check."""

    def register(check: Check) -> Check:
        nodes = (on,) if isinstance(on, str) else on
        texts = tuple((one,) if isinstance(one, str) else one for one in (err, ok))
        made = Rule(name, title, severity, why, instead, texts[0], texts[1], nodes, data_loss, check)
        if name in _RULES:
            raise ValueError(f"two rules are named {name}")
        _RULES[name] = made
        for one in nodes:
            _BY_NODE.setdefault(one, []).append(made)
        return check

    return register


def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by name."""
    import safemig.review.rules  # noqa: F401  (importing it registers them)

    return tuple(_RULES[name] for name in sorted(_RULES))


def rule_named(name: str) -> Rule:
    """Return the rule of that name; KeyError if there is none."""
    import safemig.review.rules  # noqa: F401

    return _RULES[name]


def is_known(name: str) -> bool:
    """Tell whether there is a rule of that name."""
    import safemig.review.rules  # noqa: F401

    return name in _RULES


def rules_for(node: str) -> list[Rule]:
    """Return the rules whose checks look at this node."""
    return _BY_NODE.get(node, [])
