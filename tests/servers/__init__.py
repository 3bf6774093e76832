"""Real servers on loopback, each with a data folder of its own that goes away with it.

A server that cannot start fails the tests that need it, with the end of its log; nothing is skipped.
"""
