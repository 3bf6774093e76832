"""Kill every step of a synchronization at random instants, run it again, and compare the end with an undisturbed one."""
