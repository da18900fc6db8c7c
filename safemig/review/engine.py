"""Review a sequence of migration files: read, examine, accept, judge. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from safemig.errors import SettingsError
from safemig.review import fix, history
from safemig.review.advice import advice, advice_to_split
from safemig.review.examine import Examination, Placed
from safemig.review.exposure import SUPABASE, Exposure
from safemig.review.levels import Level, weighed
from safemig.review.locks import locks
from safemig.review.lookahead import look_ahead
from safemig.review.may_run_code import changes_rows_only
from safemig.review.missing import missing_tables
from safemig.review.model import (
    UNREADABLE,
    Acceptance,
    Finding,
    LeftAlone,
    Review,
    ReviewedFile,
    ReviewedStatement,
    TableLock,
)
from safemig.review.registry import rule_named, rules_for
from safemig.review.rights import REHEARSAL_RULES
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.verdict import Evidence
from safemig.review.world import World
from safemig.sql.clauses import tokens
from safemig.sql.fold import HOLE, without_holes
from safemig.sql.foreign import EXTENSION_SCHEMA, NEWER, as_written, extension_mark
from safemig.sql.locks import LockMode
from safemig.sql.parsing import ParsedStatement, SourceFile, SqlSyntaxError, parse, parse_some, parse_what_can_be
from safemig.sql.passwords import without_passwords
from safemig.sql.tree import Tree, node

if TYPE_CHECKING:
    from safemig.review.facts import TargetFacts

CANNOT_BE_WRITTEN = "THIS OPERATION CANNOT BE WRITTEN AS SQL"  # Django's words
_NOT_WRITTEN = re.compile(rf"^-- {CANNOT_BE_WRITTEN}[^\n]*", re.MULTILINE)
_MAYBE_ACCEPTS = re.compile(r"--\s*safemig:\s*accept", re.IGNORECASE)
_IN_FILE = re.compile(r"--\s*safemig:\s*accept\s+(?P<text>.*)", re.IGNORECASE)
_LONGEST_STATEMENT = 2000
_PORTION = 256 * 1024  # characters of SQL, of which the parse trees are in memory together
_STRENGTH = attrgetter("strength")


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What reading one file gave: its findings, its statements, what it becomes when fixed, and its acceptances."""

    findings: list[Finding]
    reviewed: ReviewedFile
    made_safer: fix.Fixed
    acceptances: list[Acceptance]


class _Examined(NamedTuple):
    """A file of which the rules were asked; `placed` is what they found in each statement."""

    file: SourceFile
    statements: list[ParsedStatement]
    is_whole: bool  # False where the text cannot be read as a whole
    placed: list[Sequence[Placed]]
    findings: list[Finding]
    reviewed: tuple[ReviewedStatement, ...]
    advice: list[str]


def review(
    files: Sequence[SourceFile],
    *,
    applied: Sequence[SourceFile] = (),
    target: TargetFacts | None = None,
    accept: Sequence[Acceptance] = (),
    server_version: int | None = None,
    evidence: Evidence | None = None,
    before: Sequence[SourceFile] = (),
    by_themselves: bool = False,
    platform: str = "",
    level: Level = "default",
) -> Review:
    """Review `files` as one sequence that comes after `applied`.

    Guarantee: a text that cannot be read is a finding, and the verdict then is DO NOT DEPLOY.
    `server_version` is a `server_version_num` (150004); with `target` it is known from there.
    `evidence` is what the caller knows of the target; `before` are pending files that come first and are not reviewed.
    `platform` is whose database it is ("Supabase"); with `target` it is known from there.
    `level` is how strictly to judge.
    `by_themselves` is for where no one knows which files are applied: each is reviewed as if all before it were.
    """
    world = World(target=target, server_version=server_version, by_themselves=by_themselves)
    if SUPABASE in (platform, target.platform if target else ""):
        world.exposure = Exposure(set(target.granted_by_default) if target else set())
    unread = _learn(world, applied)
    world.pending = True
    pass_over(world, before)
    found = read(world, files)
    return _judge(
        weighed([finding for one in found for finding in one.findings], level),
        files,
        [one.reviewed for one in found],
        [one.made_safer for one in found],
        [*accept, *(acceptance for one in found for acceptance in one.acceptances)],
        evidence or Evidence(target.name if target else None),
        _assumptions(world, unread),
    )


def read(world: World, files: Sequence[SourceFile]) -> list[ReadFile]:
    """Review files one by one, in order; `world` is then as they leave it."""
    found = []
    for some in _portions(files):
        # One step for all of them, then the next: file by file, the steps would drive each other out of the processor's
        # caches: a review of many short files would take up to a quarter longer.
        parsed = [(file, *_statements(file)) for file in some]
        found += [_finished(one) for one in [_examined(world, *one) for one in parsed]]
    if world.exposure is not None:
        _of_what_is_made(world, world.exposure, found)
    return found


def _of_what_is_made(world: World, exposure: Exposure, found: list[ReadFile]) -> None:
    """Ask the rules that look at what the sequence as a whole leaves, and put each finding where the object is made."""
    by_name = {one.reviewed.name: one for one in found}
    for made in exposure.made():
        if (file := by_name.get(made.file)) is None:
            continue
        statement = made.statement
        scene = Scene("Made", {"made": made}, world, statement, statement.sql, made.name)
        for rule in rules_for("Made"):
            for hit in rule.check(scene) if rule.check else ():
                placed = Placed(rule, hit, "", statement.line, statement.column)
                shown = without_passwords(statement.sql)
                file.findings.append(_finding(made.file, shown, statement.kind, placed, None))


def pass_over(world: World, files: Sequence[SourceFile]) -> None:
    """Leave `world` as `read` would, without a review: it takes a third of the time."""
    for file in files:
        _begin(world, file)
        try:
            for number, statement in parse_some(file.sql, lambda json: not changes_rows_only(world, json)):
                _follow(world, number, statement)
        except SqlSyntaxError:
            for number, statement in enumerate(parse_what_can_be(file.sql)):
                _follow(world, number, statement)


def _follow(world: World, number: int, statement: ParsedStatement) -> None:
    world.statement = number
    Examination(world, statement, asks=False).run()


def _learn(world: World, applied: Sequence[SourceFile]) -> list[str]:
    """Read the applied migrations for what they made; return the names of those that cannot be read.

    Where the target was read, it says better what is there: then they are not needed.
    """
    unread: list[str] = []
    if world.target is not None:
        return unread
    for file in applied:
        world.file = file.name
        history.begin_path(world)
        try:
            for statement in parse(file.sql):
                history.apply(world, statement.tree, statement.sql)
        except SqlSyntaxError:
            unread.append(file.name)
    return unread


def _portions(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    """Yield the files in order, as many short ones at a time as hold `_PORTION` together."""
    some: list[SourceFile] = []
    size = 0
    for file in files:
        some.append(file)
        size += len(file.sql)
        if size >= _PORTION:
            yield some
            some, size = [], 0
    if some:
        yield some


def _statements(file: SourceFile) -> tuple[list[ParsedStatement], SqlSyntaxError | None]:
    try:
        return parse(file.sql), None
    except SqlSyntaxError as problem:
        return parse_what_can_be(file.sql), problem


def _begin(world: World, file: SourceFile) -> None:
    """Forget what holds within one file only."""
    if world.by_themselves:
        world.take_as_applied()
    if world.by_themselves or (world.path, *world.searched) != world.own_path:
        history.note_change(world)
    world.file = file.name
    history.begin_path(world)
    if extension_mark(file.sql):  # an unqualified name is in it too
        world.use_path([EXTENSION_SCHEMA])
        history.note_change(world)
    world.settings.clear()
    world.taken.clear()
    world.prepared.clear()
    world.exclusive.clear()
    world.reshaped.clear()
    world.foreign_keys.clear()
    world.labels_of_this_file.clear()


def _examined(
    world: World, file: SourceFile, statements: list[ParsedStatement], problem: SqlSyntaxError | None
) -> _Examined:
    """Ask the rules about a file; `world` is then as the file leaves it."""
    _begin(world, file)
    findings = [_unreadable(file, problem)] if problem else []
    reviewed: list[ReviewedStatement] = []
    placed: list[Sequence[Placed]] = []
    said: set[tuple[str, ...]] = set()
    look_ahead(world, statements)
    quiet: Tree | None = None  # of an INSERT that does nothing but write rows, in which nothing was found
    for number, statement in enumerate(statements):
        if statement.tree is quiet:  # its literals alone are others
            reviewed.append(reviewed[-1]._replace(sql=statement.sql, line=statement.line, column=statement.column))
            placed.append(())
            continue
        world.statement = number
        full = statement.in_full() if world.labels_of_this_file else statement  # its literals may be such labels
        made, one, hits = _statement(world, file, full)
        findings.extend([each for each in made if _is_first(each, said)] if made else ())
        reviewed.append(one)
        placed.append(hits)
        is_quiet = full.is_abridged and not made and changes_rows_only(world, full.json)
        quiet = full.tree if is_quiet else None
    findings.extend(_of_file(world, file, statements))
    lines = advice(world, reviewed, findings)
    return _Examined(file, statements, problem is None, placed, findings, tuple(reviewed), lines)


def _finished(examined: _Examined) -> ReadFile:
    """Add to what the rules said of a file its safer form, which needs no world, and what its text accepts."""
    file, statements, is_whole, placed, findings, reviewed, lines = examined
    made_safer = fix.as_it_is(file)
    if is_whole:
        instead = [
            fix.replacement(one, hits) if hits else fix.STAYS for one, hits in zip(statements, placed, strict=True)
        ]
        made_safer = fix.fixed(file, statements, instead)
    if line := advice_to_split(made_safer.count, reviewed):
        lines.append(line)
    acceptances, problems = acceptances_in(file)
    said = [*findings, *problems, *_not_written(file)]
    return ReadFile(said, ReviewedFile(file.name, reviewed, tuple(lines)), made_safer, acceptances)


# What says the same at each place: that something is not known. In a file it is said once, at the first.
_SAID_ONCE = frozenset(
    ("unknown-function", "partly-dynamic-sql", "unreadable-body", "other-language", "transaction-control")
)


def _is_first(finding: Finding, said: set[tuple[str, ...]]) -> bool:
    """Tell whether the file did not have this finding yet, and note it.

    What is neither in `_SAID_ONCE` nor found in a function that the file calls always stands.
    """
    in_function = " (in function " in finding.message  # each call of the same function would say the same again
    if finding.rule not in _SAID_ONCE and not in_function:
        return True
    what = "" if finding.rule == "transaction-control" else finding.message
    key = (finding.rule, finding.severity.value, finding.object, what)
    if key in said:
        return False
    said.add(key)
    return True


def _of_file(world: World, file: SourceFile, statements: list[ParsedStatement]) -> list[Finding]:
    """Ask the rules that look at a file as a whole."""
    found: list[Finding] = []
    if not statements:
        return found
    kinds = [node(statement.tree)[0] for statement in statements]
    scene = Scene("File", {"statements": statements, "kinds": kinds}, world, statements[0], file.sql)
    for rule in rules_for("File"):
        for hit in rule.check(scene) if rule.check else ():
            statement = statements[hit.statement or 0]
            placed = Placed(rule, hit, "", statement.line, statement.column)
            found.append(_finding(file.name, without_passwords(statement.sql), statement.kind, placed, None))
    return found


def _statement(
    world: World, file: SourceFile, statement: ParsedStatement
) -> tuple[list[Finding], ReviewedStatement, Sequence[Placed]]:
    taken = locks(statement.tree, world, statement.json)
    taken = {name: mode for name, mode in taken.items() if not world.is_new(name)} if taken else taken
    kind = statement.kind
    facts = None
    if world.target is not None:
        facts = next((table.facts for name in taken if (table := world.tables.get(name)) and table.facts), None)
    examination = Examination(world, statement)
    missing = missing_tables(world, statement, taken) if world.target is not None else ()
    everything = examination.run()
    everything += [Placed(rule_named("missing-table"), hit, "", statement.line, statement.column) for hit in missing]
    for name, mode in examination.locks.items():
        if HOLE not in name.name and (name not in taken or taken[name].strength < mode.strength):
            taken[name] = mode
    strongest = max(taken.values(), key=_STRENGTH) if taken else None
    shown = without_passwords(statement.sql)
    found: dict[tuple[str, str, int, str], Finding] = {}
    for placed in everything:
        finding = _finding(file.name, shown, kind, placed, strongest)
        found.setdefault((finding.rule, finding.object, finding.line, finding.message), finding)
    for name, mode in taken.items():
        if mode is LockMode.ACCESS_EXCLUSIVE:
            world.exclusive.add(name)
    reviewed = ReviewedStatement(
        shown,
        statement.line,
        statement.column,
        kind,
        strongest,
        statement.tables,
        tuple(dict.fromkeys([finding.rule for finding in found.values()])) if found else (),
        tuple([TableLock(str(name), mode) for name, mode in taken.items()]) if taken else (),
        statement.transactional,
        facts.rows_estimate if facts else None,
        facts.size_bytes if facts else None,
    )
    return list(found.values()), reviewed, everything


def _finding(file: str, shown: str, kind: str, placed: Placed, strongest: LockMode | None) -> Finding:
    """Return what a hit says; `shown` is the statement without its passwords."""
    rule, hit, origin, line, column, _ = placed
    return Finding(
        rule.name,
        hit.severity or rule.severity,
        rule.title,
        file,
        line,
        column,
        as_written(shown if len(shown) <= _LONGEST_STATEMENT else shown[:_LONGEST_STATEMENT] + " …"),
        as_written(without_holes(f"{hit.message} ({origin})" if origin else hit.message)),
        as_written(without_holes(hit.safer)),
        hit.lock or strongest,
        rule.data_loss if hit.data_loss is None else hit.data_loss,
        as_written(without_holes(hit.object)),
        None,
        kind,
    )


def _unreadable(file: SourceFile, problem: SqlSyntaxError) -> Finding:
    rule = rule_named("cannot-be-read")
    line = file.sql.split("\n")[problem.line - 1].encode("utf-8", "replace").decode() if file.sql else ""
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        title="The statement is newer than the parser" if NEWER in problem.reason else rule.title,
        file=file.name,
        line=problem.line,
        column=problem.column,
        statement=without_passwords(line.strip())[:_LONGEST_STATEMENT],
        message=problem.reason,
        object=file.name,
        kind="",
    )


def _not_written(file: SourceFile) -> list[Finding]:
    """Return a finding for each step that a tool could only name in a comment."""
    rule = rule_named("not-written-as-sql")
    return [
        Finding(rule.name, rule.severity, rule.title, file.name, file.sql.count("\n", 0, match.start()) + 1, 1,
                match[0].strip(), "what this step does is not in the text", object=file.name)
        for match in _NOT_WRITTEN.finditer(file.sql)
    ]  # fmt: skip


def acceptances_in(file: SourceFile) -> tuple[list[Acceptance], list[Finding]]:
    """Return what `-- safemig: accept rule object: reason` comments accept in this file, and those that are no good."""
    if not _MAYBE_ACCEPTS.search(file.sql):
        return [], []
    found: list[Acceptance] = []
    problems: list[Finding] = []
    for token in tokens(file.sql):
        match = _IN_FILE.match(file.sql, token.start, token.end) if token.kind == "comment" else None
        if not match:
            continue
        try:
            found.append(replace(Acceptance.parse(match["text"]), file=file.name))
        except SettingsError as problem:
            rule = rule_named("acceptance-without-effect")
            line = file.sql.count("\n", 0, token.start) + 1
            problems.append(
                Finding(rule.name, rule.severity, rule.title, file.name, line, 1, match[0].strip(), problem.what,
                        object=match["text"].strip()[:80])
            )  # fmt: skip
    return found, problems


def _judge(
    findings: list[Finding],
    files: Sequence[SourceFile],
    reviewed: list[ReviewedFile],
    made_safer: list[fix.Fixed],
    acceptances: list[Acceptance],
    evidence: Evidence,
    assumptions: tuple[str, ...],
) -> Review:
    used: set[int] = set()
    order = {file.name: index for index, file in enumerate(files)}
    judged = []
    for finding in findings:
        covering = [index for index, one in enumerate(acceptances) if one.covers(finding)]
        if not covering or finding.rule == UNREADABLE:  # which no one can accept
            judged.append(finding)
            continue
        used.update(covering)
        weighs = finding.severity is not Severity.RECOMMENDATION
        judged.append(finding._replace(accepted=acceptances[covering[0]].reason) if weighs else finding)
    judged.sort(key=lambda one: (order.get(one.file, 0), one.line, one.column))
    return Review(
        findings=tuple(judged),
        files=tuple(reviewed),
        evidence=evidence,
        fixed_files=fix.OnDemand(lambda: (part for one in made_safer for part in one.parts)),
        left_alone=fix.OnDemand(
            lambda: (
                LeftAlone(file.name, line, why)
                for file, one in zip(files, made_safer, strict=True)
                for line, why in one.left_alone
            )
        ),
        unused_acceptances=tuple(
            one for index, one in enumerate(acceptances) if index not in used and one.rule not in REHEARSAL_RULES
        ),
        assumptions=assumptions,
    )


def _assumptions(world: World, unread: list[str]) -> tuple[str, ...]:
    said = []
    if world.target is None:
        said.append("no target was read: each table that these migrations do not create is taken as large and in use")
    if world.by_themselves:
        said.append("which files are applied is not known: each was reviewed as if all files before it were")
    if world.server_version is None:
        said.append("the server's version is not known: PostgreSQL 15 or newer is assumed")
    said.extend(f"{name} is applied already and cannot be read: what it made is not known" for name in unread)
    return tuple(said)
