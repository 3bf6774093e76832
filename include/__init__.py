"""The rooms of Rollcall. What each may import is written in pyproject.toml and enforced by import-linter."""
