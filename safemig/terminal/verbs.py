"""The options that every verb has: the form of its answer, how much it says, and colours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from safemig.terminal.output import Output

chosen = Output()  # of the command that runs; a process runs one


def begin(words: Sequence[str]) -> None:
    """Forget what an earlier command of this process chose; a wrong word may stand before --format, so look for it now."""
    global chosen
    forms = {" ".join(pair) for pair in itertools.pairwise(words)}
    chosen = Output(form="json" if "--format json" in forms or "--format=json" in words else "text")


def _choose(**given: Any) -> None:
    global chosen
    chosen = replace(chosen, **given)


def _choose_form(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    _choose(form=value)
    return value


def _choose_flag(_context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        _choose(**{str(parameter.name): True})
        if chosen.quiet and chosen.verbose:
            raise click.UsageError("--quiet and --verbose exclude each other; leave out one of the two")


def how_much(*, hidden: bool) -> list[click.Option]:
    """Return the options that say how much is printed, and whether in colour."""
    flags = {
        ("-q", "--quiet"): "Print the verdict and errors alone.",
        ("-v", "--verbose"): "Print every statement with its times, and what is folded elsewhere.",
        (
            "--no-color",
            "no_colour",
        ): "No colours. The variables NO_COLOR and FORCE_COLOR say the same for all programs.",
    }
    return [
        click.Option(names, is_flag=True, expose_value=False, callback=_choose_flag, hidden=hidden, help=words)
        for names, words in flags.items()
    ]


class Verb(click.Command):
    """A verb with `--format text|json`, unless it has a choice of its own, and `-q`, `-v` and `--no-color`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for each in self.params:
            if each.name == "form":
                each.callback = _choose_form
                if isinstance(each, click.Option):
                    each.help = each.help or "Output format."
                break
        else:
            form = click.Option(
                ["--format", "form"], type=click.Choice(["text", "json"]), default="text", show_default=True,
                expose_value=False, callback=_choose_form, help="Output format.",
            )  # fmt: skip
            self.params.append(form)
        self.params += how_much(hidden=True)
        self.epilog = self.epilog or "Also -q, -v and --no-color: see safemig --help."


class Verbs(click.Group):
    """Verbs in the order of the workflow, as the help shows them."""

    command_class = Verb
    group_class = type  # a group within is one of these, too

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += how_much(hidden=False)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self.commands)
