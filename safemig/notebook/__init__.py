"""The notebook: magics, their completion, the gate, live progress. Loaded by `%load_ext safemig`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(shell: InteractiveShell) -> None:
    """Give the shell safemig's magics, their completion, and `%config SafeMig`. Doing it again changes nothing."""
    from safemig.notebook.completion import complete_magics
    from safemig.notebook.magics import SafeMig
    from safemig.notebook.onlooker import end
    from safemig.notebook.percent import refuse_sql_below_a_line_magic

    if any(isinstance(each, SafeMig) for each in shell.configurables):
        return
    if "SafeMig" in shell.config:  # of a profile: what it sets must be known before it is read
        SafeMig.class_traits(config=True)
    magics = SafeMig(shell=shell)
    shell.register_magics(magics)
    shell.configurables.append(magics)  # type: ignore[arg-type]  # so that %config knows it
    shell.input_transformers_cleanup.append(refuse_sql_below_a_line_magic)
    shell.events.register("post_run_cell", lambda _: end())
    shell.Completer.custom_matchers.append(complete_magics(magics))
