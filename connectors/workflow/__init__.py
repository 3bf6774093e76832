"""Orders that start workflows instead of writing to a system (engine.md 4.2)."""
