"""The one comparison, and limits over its result. It does not know what it is used for."""
