"""The policy: expressions, correlation, states."""
