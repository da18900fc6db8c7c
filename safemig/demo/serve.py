"""Start a kept demo's server again, to play with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from safemig.demo.places import read_note
from safemig.demo.scene import Scene
from safemig.demo.shop import Shop
from safemig.demo.supabase_project import SupabaseProject
from safemig.postgres.server.throwaway import ThrowawayServer


def how_to_play(project: Path) -> list[str]:
    """Return the lines that tell how to go on with a demo that was kept."""
    elsewhere = [
        f"(Its data is in {data}; remove that too when you are done.)"
        for data in read_note(project).servers
        if not data.is_relative_to(project)
    ]
    return ["To use the demo again, start its server:", f"  safemig demo --serve {project}", *elsewhere]


def serve_until_interrupted(project: Path, echo: Callable[[str], None], stop: threading.Event | None = None) -> int:
    """Run the kept demo's server in the foreground until Ctrl-C (or until `stop` is set), and return 0.

    Raises:
        SettingsError: there is no kept demo in `project`.
        ToolError: the server does not start, such as when it runs already.
    """
    project = project.resolve()
    note = read_note(project)
    shop: Scene
    if note.staging_server:
        shop = SupabaseProject.serve(project, note.staging_server, note.server, major=note.major)
    else:
        shop = Shop(project, ThrowawayServer.start(major=note.major, folder=note.server))
    with shop:
        echo(f"PostgreSQL {shop.server.programs.version} runs until you press Ctrl-C. In another terminal:")
        echo("")
        for name, value in shop.variables.items():
            echo(f"  export {name}='{value}'")
        echo(f"  cd {project}")
        echo("  safemig status")
        echo("  jupyter lab play.ipynb        # pip install jupyterlab, if you have none")
        echo("")
        try:
            (stop or threading.Event()).wait()
        except KeyboardInterrupt:
            echo("ended")
    return 0
