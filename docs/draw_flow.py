"""Draw ``docs/flow.svg`` from the DAGs of the demo's CRM, with Graphviz: ``make picture``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from include.orchestration.dags import build_dags

if TYPE_CHECKING:
    from airflow.sdk import DAG

PEOPLE = {"approve"}
ON_AGENT = {"export", "fulfil", "read_back"}
HIDDEN = {"close_run"}


def _cluster(dag: DAG, title: str) -> list[str]:
    """The tasks of one DAG as a Graphviz cluster; what a person answers and what runs on an agent stand out."""
    name = title.split(maxsplit=1)[0]
    lines = [f'subgraph "cluster_{name}" {{ label="{title}"; style="rounded"; color="#8a94a6"; fontcolor="#44506a";']
    shown = [task for task in dag.tasks if task.task_id not in HIDDEN]
    for task in shown:
        label = task.task_id.split(".")[-1]
        fill = "#ffe9b8" if label in PEOPLE else "#d7ecd9" if label in ON_AGENT else "#e3ebf8"
        lines.append(f'"{name}.{task.task_id}" [label="{label}", fillcolor="{fill}"];')
    visible = {task.task_id for task in shown}
    for task in shown:
        own = task.downstream_task_ids & visible
        # An edge that another path implies says nothing new.
        implied = {later for other in own for later in dag.get_task(other).get_flat_relative_ids(upstream=False)}
        keep = own - implied if label_keeps(task.task_id) else own
        lines += [f'"{name}.{task.task_id}" -> "{name}.{other}";' for other in sorted(keep)]
    lines.append("}")
    return lines


def label_keeps(task_id: str) -> bool:
    """Whether implied edges of a task may go; those around a person's decision are the point of the picture."""
    return task_id not in {"guard", "generate_orders"}


def draw() -> str:
    """The picture as Graphviz source."""
    dags = build_dags()
    lines = [
        'digraph rollcall { rankdir=LR; ranksep=0.35; nodesep=0.25; fontname="Helvetica"; compound=true;',
        'node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11,',
        'color="#44506a", fillcolor="#e3ebf8"];',
        'edge [color="#44506a", arrowsize=0.7];',
        '"system" [label="managed system", shape=cylinder, fillcolor="#f4f4f4"];',
        '"repository" [label="identity repository\\n(history, audit trail)", shape=cylinder, fillcolor="#f4f4f4"];',
        '"snapshot" [label="published snapshots\\n(manifest, SHA-256 chain)", shape=folder, fillcolor="#f4f4f4"];',
        *_cluster(dags["synchronize_CRM"], "synchronize_<connector>"),
        *_cluster(dags["provision_CRM"], "provision_<connector>"),
        '"system" -> "synchronize_<connector>.export" [style=bold];',
        '"synchronize_<connector>.load" -> "repository" [style=bold];',
        '"synchronize_<connector>.load" -> "snapshot" [style=bold];',
        '"repository" -> "provision_<connector>.evaluate" [style=bold];',
        '"provision_<connector>.batch.fulfil" -> "system" [style=bold, constraint=false];',
        "}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the picture beside this file."""
    target = Path(__file__).with_name("flow.svg")
    subprocess.run(["dot", "-Tsvg", "-o", str(target)], input=draw(), text=True, check=True)  # noqa: S603, S607


if __name__ == "__main__":
    main()
