"""What an integrator writes: typed configuration, read from one YAML file per connector."""
