"""Text search parsers, templates, dictionaries and configurations."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.schema.facts import (
    TextSearchFact,
)
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.kinds.others import Defined
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


class TextSearchParser(Defined):
    name = "text search parser"
    keyword = "TEXT SEARCH PARSER"
    phase = 43
    drop_phase = 19
    has_owner = False


class TextSearchTemplate(Defined):
    name = "text search template"
    keyword = "TEXT SEARCH TEMPLATE"
    phase = 43
    drop_phase = 19
    has_owner = False


class TextSearchDictionary(Kind):
    name = "text search dictionary"
    keyword = "TEXT SEARCH DICTIONARY"
    phase = 44
    drop_phase = 18
    has_owner = True

    def create(self, item: Id, fact: TextSearchFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        said = f",\n    {fact.options[0][1]}" if fact.options else ""
        return [
            Step(
                f"CREATE TEXT SEARCH DICTIONARY {name} (\n    TEMPLATE = {fact.base}{said}\n)",
                reverse=f"DROP TEXT SEARCH DICTIONARY {name}",
            )
        ]


class TextSearchConfiguration(Kind):
    name = "text search configuration"
    keyword = "TEXT SEARCH CONFIGURATION"
    phase = 45
    drop_phase = 17
    has_owner = True

    def create(self, item: Id, fact: TextSearchFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        steps = [
            Step(
                f"CREATE TEXT SEARCH CONFIGURATION {name} (PARSER = {fact.base})",
                reverse=f"DROP TEXT SEARCH CONFIGURATION {name}",
            )
        ]
        return steps + [self._map(item, "ADD", token, dictionaries) for token, dictionaries in fact.options]

    def _map(self, item: Id, word: str, token: str, dictionaries: str) -> Step:
        return Step(
            f"ALTER TEXT SEARCH CONFIGURATION {quote_name(item.schema, item.name)} {word} MAPPING FOR"
            f" {quote_identifier(token)} WITH {dictionaries}"
        )

    def alter(self, item: Id, old: TextSearchFact, new: TextSearchFact, plan: Plan) -> list[Step] | None:
        if old.base != new.base:
            return None
        before, after = dict(old.options), dict(new.options)
        steps = [
            Step(
                f"ALTER TEXT SEARCH CONFIGURATION {quote_name(item.schema, item.name)} DROP MAPPING FOR {quote_identifier(token)}"
            )
            for token in before
            if token not in after
        ]
        return steps + [
            self._map(item, "ALTER" if token in before else "ADD", token, dictionaries)
            for token, dictionaries in after.items()
            if before.get(token) != dictionaries
        ]
