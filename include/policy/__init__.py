"""From the repository to the expected state: correlation, rules, assignments. It talks to no managed system."""
