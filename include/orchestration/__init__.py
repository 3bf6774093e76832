"""The pipeline: steps that call the rooms, and the DAGs built from them. It computes nothing itself."""
