"""Kill the steps of runs at random instants, run them again, and compare with an undisturbed end."""
