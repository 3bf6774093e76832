"""From raw CSV to a clean, validated, compared and published snapshot. It knows no managed system."""
