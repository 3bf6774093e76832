"""Expressions of an integrator: SQL that can do nothing but compute a value, over a resource and its links."""
