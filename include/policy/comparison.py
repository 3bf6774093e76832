"""When the policy's value and that of the managed system are the same: the comparison types of engine.md 1.11.

Values are canonical text (``include.policy.rules``). Each type but ``case_sensitive`` reduces a text to a
key; values are the same where they or their keys are. A text without any letter has no key in the types
that ignore what is no letter: ``12`` and ``34`` are not the same under ``simplified``.
"""

from __future__ import annotations

from include.model.configuration import Property
from include.model.formats import format_of
from include.model.resource_type import ComparisonType

_LETTERS = r"regexp_replace(lower(strip_accents({text})), '[^\p{{L}}]', '', 'g')"

# Z=S, Y=I, W=V, K=C; H is optional; SS=C; other letters that repeat count once; so does a last T, D or S.
# The list of one binds the letters, so that they are computed once.
_COLLAPSED = """list_transform([string_split({text}, '')], lambda letters: array_to_string(
    list_filter(letters, lambda letter, place: place = 1 OR letter <> letters[place - 1]), ''))[1]"""
_SOUNDS = "replace(replace(translate({text}, 'zywk', 'sivc'), 'h', ''), 'ss', 'c')"

FUNCTIONS = (
    "CREATE MACRO ignoring_case(text) AS lower(text)",
    "CREATE MACRO ignoring_diacritics(text) AS strip_accents(text)",
    f"CREATE MACRO simplified(text) AS nullif({_LETTERS.format(text='text')}, '')",
    f"""CREATE MACRO approximated(text) AS nullif(regexp_replace(
        {_COLLAPSED.format(text=_SOUNDS.format(text=_LETTERS.format(text="text")))}, '(.)[tds]$', '\\1'), '')""",
)
"""The keys, as macros to create in the workspace."""

_KEYS: dict[ComparisonType, str] = {
    "ignore_case": "ignoring_case",
    "ignore_diacritics": "ignoring_diacritics",
    "simplified": "simplified",
    "approximate": "approximated",
}


def same_value(first: str, second: str, comparison_type: ComparisonType, target: Property) -> str:
    """A SQL boolean, never NULL: two SQL texts are the same value of a property under a comparison type."""
    exactly = f"{first} IS NOT DISTINCT FROM {second}"
    if comparison_type == "case_sensitive":
        return f"({exactly})"
    keys = (_key(text, comparison_type, target) for text in (first, second))
    return f"({exactly} OR coalesce({' = '.join(keys)}, false))"


def _key(text: str, comparison_type: ComparisonType, target: Property) -> str:
    key = _KEYS[comparison_type]
    found = format_of(target.format)
    if found is None or found.separator is None:
        return f"{key}({text})"
    lines = f"list_transform(string_split({text}, chr(10)), lambda line: coalesce({key}(line), line))"
    return f"array_to_string(list_sort({lines}), chr(10))"
