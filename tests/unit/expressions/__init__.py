"""Expressions: what they may say, what they read, how they are bound."""
