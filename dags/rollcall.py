"""The DAGs of every connector in the configuration folder (``ROLLCALL_CONFIG``)."""

from airflow.sdk import get_parsing_context

from include.orchestration.dags import build_dags

globals().update(build_dags(only=get_parsing_context().dag_id))
