"""``rollcall plan``: which orders would follow, by rule, with samples, limits and a CSV."""

from __future__ import annotations

from pathlib import Path

from include.command.console import console, fail
from include.command.tables import print_limits_of, print_table
from include.orchestration.plan import Plan, plan

DIFFERENCES = 3
"""The exit code where orders would change: 1 is an error, 2 a mistake in the command line."""
CHANGE_TYPES = ("Added", "Modified", "Deleted")


def print_plan(connector: str, other: Path | None, *, output: Path | None, samples: int) -> int:
    """Plan and print; the exit code: 0 where nothing would change, ``DIFFERENCES`` where something would."""
    if output and not output.absolute().parent.is_dir():
        fail(f"{output}: the folder {output.absolute().parent} does not exist")
    with console.status("evaluating ..."), plan(connector, other) as found:
        written = found.write_csv(output) if output else 0
        groups, shown = found.groups(), found.samples(samples) if samples else []
    _print_head(found, other)
    _print_orders(found)
    if not groups:
        console.print("no order would be another one" if other else "no order would be created")
    else:
        print_table(
            "differences by rule",
            ("resource type", "rule", "is", "created", "updated", "removed", "owners", "definition"),
            [
                (
                    item.resource_type, item.rule, item.status, item.created, item.updated, item.removed, item.owners,
                    item.definition,
                )
                for item in groups
            ],
            right={"created", "updated", "removed", "owners"},
        )  # fmt: skip
    if shown:
        print_table(
            f"samples: up to {samples} of each rule and change",
            ("change", "order", "rule", "owner", "target", "property", "from", "to"),
            [
                (
                    item.change, item.order_type, item.rule, item.owner, item.target_key, item.subject, item.before,
                    item.after,
                )
                for item in shown
            ],
        )  # fmt: skip
    print_limits_of(found.planned.decided.verdict)
    if found.planned.decided.verdict.blocked:
        console.print(
            "[yellow]blocked[/yellow]: above its thresholds, a run would send no order before a person decides"
        )
    if output:
        console.print(f"{output}: {written} changes", highlight=False, soft_wrap=True)
    return 0 if found.difference.is_empty else DIFFERENCES


def _print_head(found: Plan, other: Path | None) -> None:
    compared = f"{other} against {found.present.configuration.folder}" if found.present else "the next run"
    console.print(
        f"plan of {found.connector}: {compared}, evaluated {found.planned_at:%Y-%m-%d %H:%M:%S} UTC"
        f" in {found.seconds:.1f} s; nothing was written",
        highlight=False,
        soft_wrap=True,
    )
    for warning in found.warnings:
        console.print(f"[yellow]warning[/yellow]: {warning}", highlight=False, soft_wrap=True)


def _print_orders(found: Plan) -> None:
    """The orders of each side by change type, and what barriers keep back."""
    before = found.present.decided.counters if found.present else {}
    after = found.planned.decided.counters
    owners = found.planned.evaluation.counters
    rows = []
    for identifier in dict.fromkeys([*before, *after]):
        old, new = before.get(identifier, {}), after.get(identifier, {})
        figures = [figure for kind in CHANGE_TYPES for figure in _figures(found, old.get(kind, 0), new.get(kind, 0))]
        kept = ", ".join(f"{count} {barrier}" for barrier, count in new.get("withheld", {}).items())
        rows.append((identifier, owners.get(identifier, {}).get("owners", 0), new.get("owned", 0), *figures, kept))
    heads = [head for kind in CHANGE_TYPES for head in ((f"{kind} now", f"{kind} then") if found.present else (kind,))]
    print_table(
        "orders by resource type",
        ("resource type", "owners", "owned", *heads, "kept back"),
        rows,
        right={"owners", "owned", *heads},
    )


def _figures(found: Plan, old: int, new: int) -> tuple[int, ...]:
    return (old, new) if found.present else (new,)
