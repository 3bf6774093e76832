"""A bare client loop over one SCIM connection, measured: ``python -m benchmarks.bare_scim URL TOKEN FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx

from benchmarks.process import measure_here


def main() -> None:
    """Send every request of the file, one after the other."""
    url, token, file = sys.argv[1:]
    requests = json.loads(Path(file).read_text())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}

    def send() -> None:
        with httpx.Client(headers=headers) as client:
            for request in requests:
                answer = client.request(request["method"], f"{url}{request['path']}", json=request["body"])
                answer.raise_for_status()

    measure_here(send)


if __name__ == "__main__":
    main()
