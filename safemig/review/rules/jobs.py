"""Jobs of pg_cron that are removed."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql.tree import constant


@rule(
    "job-removed", Severity.CAUTION, "A job of pg_cron is removed",
    on="FuncCall",
    why="What the job did is no longer done: rows pile up, views grow old, and nothing fails.",
    instead="SELECT cron.alter_job((SELECT jobid FROM cron.job WHERE jobname = 'nightly'), active := false);",
    err="SELECT cron.unschedule('nightly')",
    ok="SELECT cron.alter_job((SELECT jobid FROM cron.job WHERE jobname = 'nightly'), active := false)",
)  # fmt: skip
def job_removed(scene: Scene) -> Iterator[Hit]:
    if (scene.table.schema, scene.table.name) == ("cron", "unschedule"):
        arguments = scene.tree.get("args", ())
        job = constant(arguments[0]) if arguments else None
        yield Hit(
            f"cron.job.{job}" if job else "cron.job",
            f"the job {job} is no longer run" if job else "a job is no longer run",
        )
