"""The demo organisation: three managed systems on disk and on loopback, and what to expect of them.

Everything is made from one fixed seed, so that the same day is the same bytes on every machine, and
every expected figure (``include.demo.facts``) is arithmetic over the generator's own lists.
"""
