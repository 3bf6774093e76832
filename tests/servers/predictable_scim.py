"""The SCIM server of the tests with ids that follow from names: whoever does the same to it gets the same.

``<type>-<name>-<number>``, where the number counts how often that name was created.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.cli import main

_created: dict[int, Counter[str]] = {}


def _predictable_id(storage: InMemoryStorage, resource_type: Any, resource: Any) -> str:
    name = getattr(resource, "user_name", None) or getattr(resource, "display_name", None)
    counted = _created.setdefault(id(storage), Counter())
    counted[f"{resource_type.name}-{name}"] += 1
    return f"{resource_type.name}-{name}-{counted[f'{resource_type.name}-{name}']}"


if __name__ == "__main__":
    InMemoryStorage.generate_id = _predictable_id  # type: ignore[method-assign]
    sys.exit(main())
