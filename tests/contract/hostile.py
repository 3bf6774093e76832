"""Values that break careless connectors: each is plain text that some organisation really holds."""

from __future__ import annotations

LONG = 60_000

NAMES: dict[str, str] = {
    "comma, quotes, semicolon": 'O\'Neil, "Bob"; Jr.',
    "line feed": "first line\nsecond line",
    "carriage return and line feed": "first line\r\nsecond line\r\n",
    "carriage return": "first\rsecond",
    "spaces at both ends": "  Anne  ",
    "only spaces": "   ",
    "tab": "\tAnne\t",
    "no-break space": "\u00a0Anne\u202f",
    "accents composed": "\u00c9dith",
    "accents decomposed": "E\u0301dith",
    "German sharp s": "Groß",
    "Turkish i": "İbrahim ışık",
    "Arabic": "محمد بن عبد الله",
    "Japanese": "山田 太郎",
    "outside the basic plane": "𠮷野家 👩🏽‍💻",
    "byte order mark inside": "\ufeffAnne",
    "line separator of Unicode": "first\u2028second\u0085third",
    "upper case": "ANNE",
    "lower case": "anne",
    "leading zeros": "007",
    "number": "1e5",
    "the word null": "NULL",
    "the null of other files": "\\N",
    "the word true": "true",
    "a date": "2024-02-30",
    "backslash": "CORP\\anne",
    "percent": "100 % %s %(name)s %41",
    "braces": "{name} ${HOME} {{ var.value.secret }}",
    "colon": ":name",
    "formula": "=1+1",
    "SQL": "'; DROP TABLE people; --",
    "markup": "<script>alert(1)</script>&amp;",
    "distinguished name": "CN=Doe\\, Jane,OU=Sales,DC=example,DC=org",
    "path": "../../etc/passwd",
    "very long": "x" * LONG,
}
"""Hostile texts by what is hostile about them."""
