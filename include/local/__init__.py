"""Airflow on one machine: start it, give it ``airflow_settings.yaml``, talk to it, stop it."""
