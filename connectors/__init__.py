"""The doors: how each managed system is read and written, laid out by protocol family."""
