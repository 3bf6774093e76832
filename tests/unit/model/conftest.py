"""A folder of sample files, and the one way in which tests change and load it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.model.configuration import Configuration
from include.model.loader import load_configuration
from tests.unit.model.packages import settings_model
from tests.unit.model.samples import copy_samples

Edit = Callable[..., None]
MistakesIn = Callable[[str], list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of its own with the sample files, which hold no mistake."""
    return copy_samples(tmp_path)


@pytest.fixture
def edit(folder: Path) -> Edit:
    """``edit(file, before, after)``: replace the first occurrence of a text that is there."""

    def replace(name: str, before: str, after: str) -> None:
        path = folder / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    return replace


@pytest.fixture
def load(folder: Path) -> Callable[[], Configuration]:
    """Load the folder with the settings models of the sample packages."""
    return lambda: load_configuration(folder, settings_model=settings_model)


@pytest.fixture
def mistakes_in(load: Callable[[], Configuration]) -> MistakesIn:
    """The mistakes of one file, as the lines that people read."""

    def lines(name: str) -> list[str]:
        return [str(mistake) for item in load().broken if item.file == name for mistake in item.mistakes]

    return lines
