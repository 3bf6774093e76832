"""Kill the steps of synchronizations at random instants, run them again, and compare with an undisturbed end."""
