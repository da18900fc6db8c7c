"""Airflow: plan the change of one or several fleets, and deploy the plans that a person approves, a notebook for each fleet.

Copy this file into Airflow's folder of DAGs. Triggered without `plans`, it plans every fleet of `fleets` and logs each
plan's ID. Who triggers it with `plans`, such as {"tenants_eu": "3f2a9c1b04de"}, approves them: each is deployed by the
runbook fleet_migrate.ipynb, wave by wave. A task that fails or is killed may be cleared: it asks the members, continues,
and does nothing where nothing is left.

Airflow needs apache-airflow-providers-papermill (Airflow 2.9 or later). Its workers need, by these variables:
SAFEMIG_PROJECT (the folder of safemig.toml), SAFEMIG_RUNBOOKS (a folder with fleet_migrate.ipynb; default: runbooks in the
project), SAFEMIG_OUTPUT (where the executed notebooks go; default: output in the project), SAFEMIG_KERNEL (a Jupyter kernel
whose environment has safemig[fleet]; default: python3), SAFEMIG_COMMAND (its safemig; default: safemig). Databases are
reached as safemig.toml says: no connection string is in the DAG, nor in what Airflow stores.
"""

from __future__ import annotations

import logging
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.papermill.operators.papermill import PapermillOperator

try:
    from airflow.sdk import Param, dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models.param import Param
    from airflow.operators.python import get_current_context

PROJECT = os.environ.get("SAFEMIG_PROJECT", "/opt/safemig")
RUNBOOKS = os.environ.get("SAFEMIG_RUNBOOKS", f"{PROJECT}/runbooks")
OUTPUT = Path(os.environ.get("SAFEMIG_OUTPUT", f"{PROJECT}/output"))


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["safemig"],
    params={
        "fleets": Param([], type="array", description="The fleets to plan, as [fleets.NAME] has them."),
        "plans": Param({}, type="object", description="The plans that you approve: an ID by fleet."),
    },
    doc_md=__doc__,
)
def safemig_fleet() -> None:
    """Plan fleets, or deploy approved plans."""

    @task
    def fleets_to_plan() -> list[str]:
        return list(get_current_context()["params"]["fleets"])

    @task
    def plan(fleet: str) -> str:
        """Log the plan, and return its ID; fails where members stop it."""
        safemig = [os.environ.get("SAFEMIG_COMMAND", "safemig"), "--project", PROJECT, "fleet", "plan", fleet]
        done = subprocess.run(safemig, capture_output=True, text=True, check=False)
        logging.getLogger(__name__).info("%s%s", done.stdout, done.stderr)
        if done.returncode:
            raise RuntimeError(f"safemig fleet plan {fleet}: exit code {done.returncode}; the log has the reason")
        found = subprocess.run([*safemig, "--format", "id"], capture_output=True, text=True, check=True)
        return found.stdout.strip()

    @task
    def approved() -> list[dict[str, Any]]:
        """Return what each fleet's notebook is run with."""
        context = get_current_context()
        OUTPUT.mkdir(parents=True, exist_ok=True)
        run = "".join(each if each.isalnum() else "_" for each in context["run_id"])
        return [
            {
                "output_nb": f"{OUTPUT}/fleet_migrate_{fleet}_{run}.ipynb",
                "parameters": {"fleet": fleet, "approve": plan_id, "project_folder": PROJECT},
            }
            for fleet, plan_id in context["params"]["plans"].items()
        ]

    plan.expand(fleet=fleets_to_plan())
    PapermillOperator.partial(
        task_id="migrate",
        input_nb=f"{RUNBOOKS}/fleet_migrate.ipynb",
        kernel_name=os.environ.get("SAFEMIG_KERNEL", "python3"),
        max_active_tis_per_dag=1,  # one fleet after the other: a failure of the first stops nobody else's
        retries=2,  # of what was killed; a member that failed, too, is tried again
        retry_delay=timedelta(minutes=1),
    ).expand_kwargs(approved())


safemig_fleet()
