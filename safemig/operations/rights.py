"""Rights as the rehearsal sees them: who may use what before and after, whose the new objects are, and what to see to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from safemig.copies.access_trials import Trial, try_access
from safemig.copies.roles import acting_role, deploying_role
from safemig.postgres import access
from safemig.postgres.access import BOOKKEEPING, EVERYBODY, MOST_OBJECTS, Guarded
from safemig.postgres.connection import Connection
from safemig.postgres.platforms import Platform, platform_of
from safemig.results import Access, Check, Rights, RightsFinding, Step
from safemig.review.model import Acceptance
from safemig.review.rights import reason_for
from safemig.settings import Settings
from safemig.sql.identifiers import quote_name

MOST_TRIED = 25
_READ = ("table", "view", "materialized view")
_IMPLIED = ("function", "schema", "sequence")  # what everyone may, each role may; of tables each role is tried
_MISSING = re.compile(r'permission denied for (sequence|schema|function|table|view|type) ("[^"]+"|[\w$.]+)')
_GRANT = {"sequence": "USAGE ON SEQUENCE", "schema": "USAGE ON SCHEMA", "function": "EXECUTE ON FUNCTION",
          "table": "SELECT ON", "view": "SELECT ON", "type": "USAGE ON TYPE"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RightsBefore:
    """Who may use what on a copy before it is migrated."""

    session_role: str
    role: str
    platform: Platform
    roles: tuple[str, ...]  # the application's
    by_schema: Mapping[str, Sequence[str]]  # who was granted something there, or owns a table
    objects: Mapping[int, Guarded]
    named: frozenset[int]
    members: frozenset[tuple[str, str]]
    trials: Mapping[tuple[str, str, str], Trial]
    notes: tuple[str, ...]


def rights_before(
    settings: Settings, source: Connection, copy: Connection, deployer: Connection, named: Collection[int]
) -> RightsBefore:
    """Read who may use what on the copy, and try it on the tables that statements name. Leaves the copy as it was."""
    platform = platform_of(source)
    session = deploying_role(source)
    role = settings.deploy_as or acting_role(source)
    by_schema = access.roles_by_schema(source, BOOKKEEPING)
    roles, notes = access.application_roles(platform, by_schema, role)
    objects = access.what_decides_access(copy, BOOKKEEPING)
    tried = [objects[oid].name for oid in sorted(named) if oid in objects and objects[oid].kind in _READ][:MOST_TRIED]
    ((acts, logged_in),) = deployer.execute("SELECT current_user, session_user").fetchall()
    if session not in (acts, logged_in):
        notes += (
            f"rights are not rehearsed: {logged_in}, the scratch server's role, is no superuser there and cannot act as "
            f"{session}",
        )
    return RightsBefore(
        session, role, platform, roles, by_schema, objects, frozenset(named), frozenset(access.members(copy)),
        try_access(copy, roles, tried), notes,
    )  # fmt: skip


def rights_after(
    settings: Settings, before: RightsBefore, source: Connection, copy: Connection, steps: Sequence[Step]
) -> Rights:
    """Compare who may use what, now that the copy is migrated. Leaves the copy as it is."""
    objects = access.what_decides_access(copy, BOOKKEEPING)
    former = _former_names(before.objects, objects)
    touched = [
        oid
        for oid, each in objects.items()
        if oid not in before.objects or oid in before.named or before.objects[oid].mark != each.mark
        or before.objects[oid].name != each.name
    ]  # fmt: skip
    touched.sort(key=lambda oid: (oid not in before.named, oid in before.objects, objects[oid].name))
    notes = list(before.notes)
    if len(touched) > MOST_OBJECTS:
        notes.append(f"access to {len(touched) - MOST_OBJECTS} more touched objects is not compared")
        touched = touched[:MOST_OBJECTS]
    chosen = [objects[oid] for oid in touched]
    roles = (EVERYBODY, *before.roles)
    old_names = {objects[oid].name: former[oid] for oid in touched if oid in former}
    was = access.rights_on(
        source, roles, [(each.kind, old_names[each.name]) for each in chosen if each.name in old_names]
    )
    now = access.rights_on(copy, roles, [(each.kind, each.name) for each in chosen])
    tables = [each.name for each in chosen if each.kind in _READ][:MOST_TRIED]
    trials = try_access(copy, before.roles, tables)
    rows = tuple(_rows(chosen, old_names, was, now, before.trials, trials))
    notes += _memberships(before.members, access.members(copy))
    new = [objects[oid] for oid in touched if oid not in former]
    found = [
        *_owners(new, before),
        *_without_roles(new, rows, before),
        *_for_everybody(new, rows, before),
        *_lost(rows, steps),
        *_without_effect(rows),
    ]
    acceptances = [Acceptance.parse(text) for text in settings.accept]
    findings = tuple(replace(each, accepted=reason_for(each.rule, each.object, acceptances)) for each in found)
    return Rights(before.session_role, before.role, before.roles, rows, findings, tuple(notes))


def check_rights(source: Connection, rights: Rights | None) -> tuple[Check, ...]:
    """Return the check that a deployment left the rights that the rehearsal found; none where it looked at none."""
    if rights is None or not rights.access:
        return ()
    roles = {EVERYBODY if each.role == "PUBLIC" else each.role for each in rights.access}
    found = access.rights_on(source, sorted(roles), sorted({(each.kind, each.object) for each in rights.access}))
    different = [
        f"{each.role} {each.verb} on {each.object}: {now or 'not there'}, rehearsed {each.after or 'not there'}"
        for each in rights.access
        if (now := found.get((EVERYBODY if each.role == "PUBLIC" else each.role, each.object, each.verb), ""))
        != each.after
    ]
    if different:
        return (Check("rights", "failed", "; ".join(different[:5]), "as rehearsed", "GRANT or REVOKE what differs"),)
    return (Check("rights", "ok", f"{len(rights.access)} rights as rehearsed", "as rehearsed"),)


def in_words(rights: Rights) -> list[str]:
    """Return what roles lose and gain, one line an object and role."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for each in rights.access:
        if each.is_lost or each.is_new:
            lines.setdefault((each.object, each.role, "loses" if each.is_lost else "gains"), []).append(each.verb)
    return [f"{role} {does} {', '.join(verbs)} on {name}." for (name, role, does), verbs in lines.items()]


def _former_names(before: Mapping[int, Guarded], after: Mapping[int, Guarded]) -> dict[int, str]:
    """Return under which name an object of now was there before: by identity, or re-created under the same name."""
    names = {(each.kind, each.name) for each in before.values()}
    found = {oid: before[oid].name for oid in after if oid in before}
    return found | {
        oid: each.name for oid, each in after.items() if oid not in before and (each.kind, each.name) in names
    }


def _rows(
    objects: Sequence[Guarded],
    old_names: Mapping[str, str],
    was: access.Rights,
    now: access.Rights,
    tried_before: Mapping[tuple[str, str, str], Trial],
    tried_after: Mapping[tuple[str, str, str], Trial],
) -> Iterator[Access]:
    kinds = {each.name: each.kind for each in objects}
    order = {each.name: number for number, each in enumerate(objects)}
    for (role, name, verb), after in sorted(now.items(), key=lambda item: (order[item[0][1]], item[0][0])):
        old = old_names.get(name)
        before = was.get((role, old, verb), "no") if old else ""
        implied = now.get((EVERYBODY, name, verb)), was.get((EVERYBODY, old, verb), "no") if old else ""
        if before in ("", "no") and after == "no":
            continue
        if kinds[name] in _IMPLIED and role != EVERYBODY and implied == (after, before):
            continue
        before_trial = tried_before.get((role, old or "", verb), Trial(""))
        trial = tried_after.get((role, name, verb), Trial(""))
        yield Access(
            "PUBLIC" if role == EVERYBODY else role, name, kinds[name], verb, before, after,  # type: ignore[arg-type]
            before_trial.word if before != "no" else "", trial.word if after != "no" else "", trial.words,  # type: ignore[arg-type]
        )  # fmt: skip


def _memberships(before: Collection[tuple[str, str]], after: Collection[tuple[str, str]]) -> list[str]:
    gone = [f"{member} is no longer a member of {role}" for role, member in sorted(set(before) - set(after))]
    return gone + [f"{member} becomes a member of {role}" for role, member in sorted(set(after) - set(before))]


def _owners(new: Sequence[Guarded], before: RightsBefore) -> Iterator[RightsFinding]:
    for each in new:
        if each.kind == "schema" or each.schema in before.platform.schemas:
            continue
        like = [
            other.owner
            for other in before.objects.values()
            if other.schema == each.schema and other.kind != "schema" and (other.kind == each.kind == "function"
                                                                          or "function" not in (other.kind, each.kind))
        ]  # fmt: skip
        whose = next((o.owner for o in before.objects.values() if o.kind == "schema" and o.schema == each.schema), "")
        if like:
            expected = Counter(like).most_common(1)[0][0]
            owners, than = set(like), f"the other objects of schema {each.schema}"
        else:
            expected, owners, than = whose, {whose}, f"its schema {each.schema}"
        if not expected or expected.startswith("pg_") or each.owner in owners:
            continue
        alter = f"ALTER {each.kind.upper()} {each.name} OWNER TO {quote_name(expected)};"
        yield RightsFinding(
            "owner-differs", each.name, f"{each.kind} belongs to {each.owner}; {than} belong to {expected}",
            f"{alter}\n-- or, before it is made: SET ROLE {quote_name(expected)};\n"
            f'-- or, for all migrations, in safemig.toml: deploy_as = "{expected}"',
        )  # fmt: skip


def _without_roles(new: Sequence[Guarded], rows: Sequence[Access], before: RightsBefore) -> Iterator[RightsFinding]:
    used = {row.object for row in rows if row.after in ("yes", "columns") and row.tried_after != "no"}
    for each in new:
        owners_and_granted = before.by_schema.get(each.schema, ())
        expected = [role for role in before.roles if role in {*owners_and_granted, *before.platform.application_roles}]
        if each.kind in _READ and expected and each.name not in used and each.owner not in before.roles:
            verbs = "SELECT, INSERT, UPDATE, DELETE" if each.kind == "table" else "SELECT"
            yield RightsFinding(
                "no-application-role", each.name, f"none of {', '.join(expected)} may use it",
                f"GRANT {verbs} ON {each.name} TO {', '.join(map(quote_name, expected))};",
            )  # fmt: skip


def _for_everybody(new: Sequence[Guarded], rows: Sequence[Access], before: RightsBefore) -> Iterator[RightsFinding]:
    may_read = {(row.role, row.object) for row in rows if row.verb == "SELECT" and row.after in ("yes", "columns")}
    for each in new:
        if each.kind not in _READ:
            continue
        if ("PUBLIC", each.name) in may_read:
            yield RightsFinding(
                "everybody-can-read", each.name, "SELECT is granted to PUBLIC: to every role that can connect",
                f"REVOKE ALL ON {each.name} FROM PUBLIC;",
            )  # fmt: skip
        elif "anon" in before.platform.application_roles and not each.has_row_security:
            if ("anon", each.name) not in may_read:
                continue
            enable = f"ALTER TABLE {each.name} ENABLE ROW LEVEL SECURITY;"
            if each.kind == "view":
                enable = f"ALTER VIEW {each.name} SET (security_invoker = true);"
            yield RightsFinding(
                "everybody-can-read", each.name,
                "anon may read it without row security: so may anyone who has the project's public key",
                f"{enable}\n-- or: REVOKE ALL ON {each.name} FROM anon;",
            )  # fmt: skip


def _lost(rows: Sequence[Access], steps: Sequence[Step]) -> Iterator[RightsFinding]:
    revokes = [step.sql for step in steps if step.kind.startswith("REVOKE")]
    lost: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        schema, _, name = row.object.partition("(")[0].rpartition(".")
        said = any(_names(sql, name) or _names(sql, schema) for sql in revokes)
        if row.is_lost and not said:
            lost.setdefault((row.object, row.kind, row.role), []).append(row.verb)
    for (name, kind, role), verbs in lost.items():
        what = name if kind in _READ else f"{kind.upper()} {name}"
        whom = role if role == "PUBLIC" else quote_name(role)
        yield RightsFinding(
            "right-lost", name, f"{role} loses {', '.join(verbs)}", f"GRANT {', '.join(verbs)} ON {what} TO {whom};"
        )


def _without_effect(rows: Sequence[Access]) -> Iterator[RightsFinding]:
    refused: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.after in ("yes", "columns") and row.tried_after == "no" and row.tried_before != "no":
            refused.setdefault((row.object, row.role, row.refusal), []).append(row.verb)
    for (name, role, words), verbs in refused.items():
        missing = _MISSING.search(words)
        grant = f"GRANT {_GRANT[missing[1]]} {missing[2]} TO {quote_name(role)};" if missing else "-- see the refusal"
        yield RightsFinding(
            "right-without-effect", name,
            f"{role} is granted {', '.join(verbs)}, and is refused: {words}", grant,
        )  # fmt: skip


def _names(sql: str, name: str) -> bool:
    bare = name.replace('"', "")
    return bool(bare) and re.search(rf"(?<![\w$]){re.escape(bare)}(?![\w$])", sql) is not None
