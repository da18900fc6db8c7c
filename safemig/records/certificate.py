"""The certificate: one screen at the head of a record that tells what was done, why, by whom, and on what evidence.

Every word of it rests on a result in the notebook below it; what was not reached is said to be so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from safemig.records.certificate_changes import MOST_FILES, Change, changes_of, files_of, named
from safemig.records.outcome import Outcome, RecordedResult
from safemig.records.sections import SECTIONS
from safemig.results import BOOKKEEPING_TABLES, WRITTEN_SINCE
from safemig.views import numbers

CELL = "certificate"  # the id of the cell that holds it
Mark = Literal["yes", "mind", "no", "not reached"]
MARKS: Mapping[Mark, str] = {"yes": "✓", "mind": "!", "no": "✗", "not reached": "–"}
_LINK = re.compile(r"https?://[^\s()<>\"'\[\]]+")
_WHAT_IT_IS = {
    "migrate_prod": "Deployment", "migrate_staging": "Deployment", "rollback_prod": "Rollback", "sync_prod": "Schema sync",
    "baseline_prod": "Baseline", "restore_prod": "Restore", "fleet_migrate": "Fleet deployment",
    "fleet_rollback": "Fleet rollback", "fleet_backup": "Fleet backup",
}  # fmt: skip

_APPROVED = ("rollback_prod", "sync_prod", "baseline_prod")  # whose gate stands within the act


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of the head, such as who approved; `url` where there is more about it."""

    name: str
    words: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof: whether it was given, its figures, and the section that has them."""

    mark: Mark
    name: str
    words: str
    section: str

    @property
    def sign(self) -> str:
        """The sign that stands for its mark."""
        return MARKS[self.mark]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the first screen of a record says."""

    word: str
    exit_code: int
    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    changes: tuple[Change, ...]
    proofs: tuple[Proof, ...]
    accepted: tuple[str, ...]
    would_lose: tuple[str, ...]
    error: tuple[str, ...]

    @property
    def changes_title(self) -> str:
        """What the list of migrations is: only what was done is told as done."""
        return "What changed" if self.exit_code == 0 else "Planned changes"


def certificate_of(outcome: Outcome, facts: Mapping[str, Any]) -> Certificate | None:
    """Return the certificate of a run that changes a database, None of one that only looks."""
    if facts["verb"] not in _WHAT_IT_IS:
        return None
    if facts["verb"].startswith("fleet_"):
        return _of_fleet(outcome, facts)
    is_deployment = facts["verb"] == "migrate_prod"
    rehearsal, review = _data(outcome.last("rehearsal")), _data(outcome.last("review"))
    accepted = tuple(
        f"{each['rule']} {each.get('object', '')}: {each['accepted']}".replace(" :", ":")
        for each in review.get("findings", ())
        if each.get("accepted")
    )
    rollback = rehearsal.get("rollback") or {}
    return Certificate(
        word=outcome.word.replace("-", " "),
        exit_code=outcome.exit_code,
        title=_title(outcome, facts),
        subtitle=_subtitle(outcome, facts),
        facts=_facts(outcome, facts),
        changes=changes_of(outcome),
        proofs=_proofs(outcome) if is_deployment and outcome.word != "NOTHING-TO-DEPLOY" else (),
        accepted=accepted,
        would_lose=_would_lose(rollback.get("cannot_bring_back", ())),
        error=outcome.error.lines if outcome.error else (),
    )


def _of_fleet(outcome: Outcome, facts: Mapping[str, Any]) -> Certificate:
    plan, rehearsal = _data(outcome.last("fleet_plan")), _data(outcome.last("fleet_rehearsal"))
    done = _data(outcome.last("fleet_deployment"))
    files = done.get("migrations") or list(
        dict.fromkeys(file for each in plan.get("cohorts", ()) for file in each["pending"])
    )
    names = named(files)
    what = f": {', '.join(names[:2])}" if names else ""
    members = done.get("members", ())
    told = [f"{count:,} {word}" for word, count in Counter(each["outcome"] for each in members).most_common()]
    return Certificate(
        word=outcome.word.replace("-", " "),
        exit_code=outcome.exit_code,
        title=f"{_WHAT_IT_IS[facts['verb']]}, {facts['environment']}{what}",
        subtitle=" · ".join(
            [
                ", ".join(told) or "no member was changed",
                f"{_moment(facts['started'])} to {_moment(facts['finished'])[11:]} UTC",
            ]
        ),
        facts=_facts(outcome, facts),
        changes=tuple(
            Change(file, "see the rehearsal below" if rehearsal else "no rehearsal was completed", "")
            for file in files[:MOST_FILES]
        ),
        proofs=_fleet_proofs(outcome, plan, rehearsal, members) if facts["verb"] == "fleet_migrate" else (),
        accepted=(),
        would_lose=_would_lose([words for each in rehearsal.get("cohorts", ()) for words in each["cannot_bring_back"]]),
        error=outcome.error.lines if outcome.error else (),
    )


def _fleet_proofs(
    outcome: Outcome, plan: Mapping[str, Any], rehearsal: Mapping[str, Any], members: Sequence[Mapping[str, Any]]
) -> tuple[Proof, ...]:
    proofs = []
    if plan:
        aside, cohorts = plan["set_aside"], plan["cohorts"]
        words = f"{plan['checks_made']:,} checks of members' rows; {numbers.counted(len(cohorts), 'cohort')}"
        words += f"; {numbers.counted(len(aside), 'member')} set aside" if aside else ""
        proofs.append(Proof("mind" if aside else "yes", "Every member asked", words, SECTIONS["plan"]))
    name = "Rehearsed, rollback proven"
    if rehearsal:
        proven = all(each["rollback_is_proven"] for each in rehearsal["cohorts"])
        with_data = all(each["mode"] == "data" for each in rehearsal["cohorts"])
        words = f"{numbers.counted(len(rehearsal['cohorts']), 'cohort')}, each on a copy of a member, "
        words += "with its data" if with_data else "without data"
        proofs.append(Proof("no" if not proven else "yes" if with_data else "mind", name, words, SECTIONS["rehearse"]))
    else:
        proofs.append(_not_reached(name, SECTIONS["rehearse"]))
    if members:
        bad = sum(each["outcome"] in ("failed", "stopped", "unknown", "not reached") for each in members)
        good = sum(each["outcome"] in ("deployed", "already") for each in members)
        deployed = [each for each in members if each["outcome"] == "deployed"]
        if backed := [each for each in deployed if each["backup"]]:
            words = f"{len(backed):,} of {len(deployed):,} members that were deployed to, each backup read back"
            proofs.append(
                Proof("yes" if len(backed) == len(deployed) else "no", "Backed up", words, SECTIONS["deploy"])
            )
        elif deployed:
            proofs.append(Proof("mind", "Backed up", plan["backup"], SECTIONS["plan"]))
        words = f"{good:,} of {len(members):,} members; each one's schema as rehearsed before its COMMIT"
        proofs.append(Proof("no" if bad else "yes", "Deployed, checked after it", words, SECTIONS["deploy"]))
    elif outcome.last("fleet_deployment") is None:
        proofs.append(_not_reached("Deployed, checked after it", SECTIONS["deploy"]))
    return tuple(proofs)


def _data(result: RecordedResult | None) -> dict[str, Any]:
    return result.data if result else {}


def _would_lose(said: Sequence[str]) -> tuple[str, ...]:
    """Return what a rollback cannot bring back, with what is written after the deployment under one head."""
    since = [each.removeprefix(WRITTEN_SINCE) for each in said if each.startswith(WRITTEN_SINCE)]
    others = [each for each in said if not each.startswith(WRITTEN_SINCE)]
    return (*([WRITTEN_SINCE + ", ".join(since)] if since else []), *others)


def _title(outcome: Outcome, facts: Mapping[str, Any]) -> str:
    names = named(files_of(outcome))
    what = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    kind = _WHAT_IT_IS[facts["verb"]]
    return f"{kind} to {facts['environment']}: {what}" if what else f"{kind}, {facts['environment']}"


def _subtitle(outcome: Outcome, facts: Mapping[str, Any]) -> str:
    target = next(
        (
            each.data["target"]
            for each in reversed(outcome.results)
            if isinstance(each.data.get("target"), dict) and "database" in each.data["target"]
        ),
        None,
    )
    parts = []
    if target:
        parts += [f"{target['database']} on {target['host']}", f"PostgreSQL {target['server_version']}"]
    parts.append(f"{_moment(facts['started'])} to {_moment(facts['finished'])[11:]} UTC")
    waits = [each.get("lock_wait_s") for each in _data(outcome.last("deployment")).get("steps", ())]
    if known := [wait for wait in waits if wait is not None]:
        longest = max(known)
        parts.append(f"longest wait for a lock {numbers.seconds(longest)}" if longest else "no wait for a lock")
    return " · ".join(parts)


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def _facts(outcome: Outcome, facts: Mapping[str, Any]) -> tuple[Fact, ...]:
    source: Mapping[str, str] = facts.get("source") or {}
    found = []
    if source.get("reason"):
        found.append(Fact("Reason", source["reason"]))
    elif source.get("subject"):
        found.append(Fact("Reason", f"{source['subject']} (commit message)"))
    if source.get("author"):
        found.append(Fact("Committed by", source["author"]))
    found.append(Fact("Run by", str(facts["by"])))
    if approved := _approved(outcome, facts["verb"]):
        found.append(Fact("Approved by", approved))
    commit = source.get("commit", "")[:12]
    state = {"clean": ", clean", "changed since": ", and files that are not committed"}.get(source.get("state", ""), "")
    found.append(Fact("Source", f"commit {commit}{state}" if commit else "no git repository"))
    if source.get("ci"):
        found.append(Fact("CI", source["ci"], url if _LINK.fullmatch(url := source.get("ci_url", "")) else ""))
    return tuple(found)


def _approved(outcome: Outcome, verb: str) -> str:
    """Return who approved, how and which plan; "" where the verb asks for no approval, or keeps it to itself."""
    approval, act = _data(outcome.last("approval")), _data(outcome.last("deployment"))
    if approval:
        others = "".join(f", {each}" for each in approval.get("others", ()))
        how = {"typed": "typed at the prompt", "parameter": "given as parameter"}.get(approval["how"], approval["how"])
        return f"{approval['by']}{others}, {_moment(approval['at'])} UTC, plan {approval['plan_id']}, {how}"
    if verb in ("migrate_prod", "fleet_migrate"):
        return "not asked for" if outcome.exit_code == 0 else "no one: the run did not reach the approval"
    if verb in _APPROVED and act.get("plan_id"):
        return f"{act['by']}, plan {act['plan_id']}"
    return ""


def _proofs(outcome: Outcome) -> tuple[Proof, ...]:
    return (
        _reviewed(outcome.last("review")),
        _backed_up(outcome.last("backup"), outcome.last("rehearsal")),
        _rehearsed(outcome.last("rehearsal")),
        _rollback_proven(outcome.last("rehearsal")),
        _validated(outcome),
    )


def _not_reached(name: str, section: str) -> Proof:
    return Proof("not reached", name, "not reached", section)


def _reviewed(result: RecordedResult | None) -> Proof:
    if result is None:
        return _not_reached("Reviewed", SECTIONS["review"])
    statements = sum(len(each["statements"]) for each in result.data["files"])
    findings = result.data.get("findings", ())
    accepted = sum(bool(each.get("accepted")) for each in findings)
    verdict = str(result.data["verdict"])
    is_safe = verdict == "SAFE TO DEPLOY"
    words = f"{numbers.counted(statements, 'statement')}, {verdict}, "
    words += f"{numbers.counted(accepted, 'finding')} accepted by name" if accepted else "nothing had to be accepted"
    return Proof(("mind" if accepted else "yes") if is_safe else "no", "Reviewed", words, SECTIONS["review"])


def _backed_up(backup: RecordedResult | None, rehearsal: RecordedResult | None) -> Proof:
    name, section = "Backed up and restored", SECTIONS["backup"]
    if backup is None:
        return _not_reached(name, section)
    history = backup.data.get("history", ())  # of another tool; a record of before 2026-12 does not have it
    tables = [
        each
        for each in backup.data["tables"]
        if not each["name"].startswith(BOOKKEEPING_TABLES) and each["name"] not in history
    ]  # as the other counts
    words = f"{sum(each['rows'] for each in tables):,} rows in {numbers.counted(len(tables), 'table')}"
    verified = rehearsal.data["backup_verified"] if rehearsal else backup.data.get("verified", "no")
    if verified == "restored":
        return Proof("yes", name, f"{words}, restored and compared by hash", section)
    how = "read back, not restored" if verified == "read" else "not restored"
    return Proof("mind", name, f"{words}, {how}", section)


def _rehearsed(result: RecordedResult | None) -> Proof:
    if result is None:
        return _not_reached("Rehearsed on a copy", SECTIONS["rehearse"])
    steps = result.data["steps"]
    with_data = result.data["mode"] == "data"
    held = [lock["held_s"] for step in steps for lock in step["locks"] if lock.get("held_s") is not None]
    rewrites = sorted({table for step in steps for table in step["rewrites"]})
    words = f"on PostgreSQL {result.data['server_version']}, "
    words += "with its data" if with_data else "its schema alone, without data"
    words += ", on a clone that [scratch] handed over" if result.data.get("rows_from") else ""
    if with_data:
        words += f"; longest lock {numbers.seconds(max(held))}" if held else "; no lock that is held"
        words += f"; rewrites {', '.join(map(str, rewrites))}" if rewrites else "; no table rewritten"
    return Proof("yes" if with_data else "mind", "Rehearsed on a copy", words, SECTIONS["rehearse"])


def _rollback_proven(result: RecordedResult | None) -> Proof:
    name, section = "Rollback proven", SECTIONS["rehearse"]
    rollback = result.data.get("rollback") if result else None
    if not rollback:
        return _not_reached(name, section)
    if not rollback["is_proven"]:
        return Proof("no", name, "; ".join(rollback["remaining"]) or "the script was not proven", section)
    gone = len(rollback["cannot_bring_back"])
    words = "run on the copy; schema equal to before"
    return Proof("mind" if gone else "yes", name, words + ("; see below what it would lose" if gone else ""), section)


def _validated(outcome: Outcome) -> Proof:
    name, section = "Validated", SECTIONS["validate"]
    act, validation = outcome.last("deployment"), outcome.last("validation")
    if act is None:
        return _not_reached(name, section)
    before = "schema as rehearsed before COMMIT"
    if validation is None:
        return Proof("mind", name, f"{before}; not validated after it", section)
    checks = validation.data["checks"]
    failed = [each["name"] for each in checks if each["state"] == "failed"]
    minded = [each["name"] for each in checks if each["state"] == "warning"]
    if failed:
        return Proof("no", name, f"{before}; after it these checks failed: {', '.join(failed)}", section)
    words = f"{before}; {numbers.counted(len(checks), 'check')} after it"
    return Proof(
        "mind" if minded else "yes",
        name,
        words + (f", to be looked at: {', '.join(minded)}" if minded else ""),
        section,
    )
