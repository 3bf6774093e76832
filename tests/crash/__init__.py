"""Kill the steps of synchronizations at random instants, run them again, and compare the end with an undisturbed one."""
