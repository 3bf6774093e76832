"""What has been sent of a batch, and what came of it: one small whole file per order and event.

``orders/ledger/<batch>/<order id>.sent.json`` stands before the order reaches the connector,
``<order id>.result.json`` after it came back. Whole files work on every object store, where nothing can be
appended, and a batch's folder is listed once. One worker at a time works on a batch: the scheduler sees
to that, and ``sent_before`` covers a worker that was thought dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from connectors.contract import OrderResult
from include.storage.folder import Folder

SENT, RESULT = ".sent.json", ".result.json"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The last result of an order, and when it came back (UTC, the agent's clock)."""

    result: OrderResult
    finished_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether sending the order again would be wrong: it is carried out, or a retry cannot help."""
        return self.result.state == "executed" or not self.result.transient

    def to_json(self) -> dict[str, object]:
        """The result's fields and ``finished_at``."""
        return asdict(self.result) | {"finished_at": self.finished_at.astimezone(UTC).isoformat()}

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> LedgerEntry:
        """The entry that ``to_json`` wrote."""
        known = {item.name for item in fields(OrderResult)}
        result = OrderResult(**{key: value for key, value in content.items() if key in known})  # type: ignore[arg-type]
        return cls(result, datetime.fromisoformat(str(content["finished_at"])))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one batch, in its folder of the run's storage."""

    folder: Folder

    @classmethod
    def of(cls, run: Folder, batch: str) -> Ledger:
        """The ledger of a batch of a run."""
        return cls(run.child("orders", "ledger", batch))

    def sent(self) -> set[str]:
        """The orders that may have reached the managed system."""
        return {item.removesuffix(SENT) for item in self.folder.names(f"*{SENT}")}

    def results(self) -> dict[str, LedgerEntry]:
        """The last result of every order that has one, by order id."""
        return {
            item.removesuffix(RESULT): LedgerEntry.from_json(self.folder.read_json(item))
            for item in self.folder.names(f"*{RESULT}")
        }

    def send(self, order_id: str, instant: datetime) -> None:
        """Write down that an order is about to be sent."""
        self.folder.write_json(
            f"{order_id}{SENT}", {"order_id": order_id, "sent_at": instant.astimezone(UTC).isoformat()}
        )

    def record(self, entry: LedgerEntry) -> None:
        """Write down what came of an order, in place of an earlier transient result."""
        self.folder.write_json(f"{entry.result.order_id}{RESULT}", entry.to_json())
