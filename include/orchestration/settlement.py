"""A load that died: what it left undone is done before any other step of its run touches a file.

A load commits to the repository first and publishes ``manifest.json`` then. A process that dies in between
leaves a run that is loaded and does not look so: a step run again would write other files under a manifest
that is on record already. An agent never sees the repository, so a mark in the run's folder tells it.
"""

from __future__ import annotations

from include.orchestration.run import Run
from include.repository.repository import Repository
from include.snapshot import manifest


def begin_load(run: Run) -> None:
    """Say that the files of the run are being loaded."""
    run.folder.write_json(manifest.LOADING, {"run_id": run.run_id})


def is_frozen(run: Run) -> bool:
    """Whether the files of the run must stay as they are, as far as its folder tells: it is loaded, or may be."""
    return manifest.published(run.folder) or run.folder.exists(manifest.LOADING)


def settle(run: Run, repository: Repository) -> bool:
    """Publish the snapshot of a run that was loaded, and tell whether it was; else its files are free again."""
    recorded = None
    if not run.dry_run and not manifest.published(run.folder):
        recorded = repository.snapshot(run.run_id)
        if recorded is not None:
            manifest.publish(run.folder, recorded.manifest)
    run.folder.remove(manifest.LOADING)
    return manifest.published(run.folder)
