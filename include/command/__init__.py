"""The ``rollcall`` command: each verb a few lines over a step or a read model."""
