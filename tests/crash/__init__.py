"""Kill the steps of synchronization or provisioning at random instants, run them again, and compare with an undisturbed end."""
