"""The verdict of a run: its table of limits in the log, and where it lies afterwards."""

from __future__ import annotations

import logging

from include.difference.limit_table import text_table
from include.difference.thresholds import Verdict
from include.provisioning.plan import GENERATION_FILE, read_generation
from include.snapshot.guard import FILE, read_verdict
from include.storage.folder import Folder

logger = logging.getLogger(__name__)


def log_limits(connector: str, verdict: Verdict) -> None:
    """Log every limit that was looked at, one line each; what blocks stands first, as a warning."""
    header, *lines = text_table(verdict.lines)
    logger.info("%s: %s limits were looked at", connector, len(lines))
    logger.info("%s", header)
    exceeded = sum(line.exceeded for line in verdict.lines)
    for position, line in enumerate(lines):
        logger.log(logging.WARNING if position < exceeded else logging.INFO, "%s", line)


def find_verdict(run: Folder) -> Verdict | None:
    """The verdict of a run of either purpose; None when it did not come so far."""
    if run.exists(f"changes/{FILE}"):
        return read_verdict(run)
    if run.exists(f"orders/{GENERATION_FILE}"):
        return read_generation(run).verdict
    return None
