"""The contract test kit: what every connector owes, as test classes that are given a real managed system.

A connector's test module subclasses ``ExporterContract`` (``exporting``) or ``FulfillerContract``
(``fulfilling``) and overrides one fixture. What its system cannot do stands in ``limits`` with the
reason: that test is then an expected failure, and fails the build once it works after all.
"""

import pytest

# Their assertions show their values when they fail, as those of test modules do.
pytest.register_assert_rewrite("tests.contract.exporting", "tests.contract.fulfilling")
