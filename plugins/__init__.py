"""Pages in the Airflow UI for operators and auditors."""
