"""Two small connectors without a mistake: HR is read, CRM is read and written."""

from __future__ import annotations

import shutil
from pathlib import Path

FOLDER = Path(__file__).parent


def copy_samples(folder: Path) -> Path:
    """Copy the sample files into a folder, for a test to change them there."""
    for file in FOLDER.glob("*.yaml"):
        shutil.copy(file, folder / file.name)
    return folder
