"""The tests: unit (seconds, no servers), integration (real servers), contract (what every connector owes)."""
