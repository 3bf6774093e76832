"""Orders and their life cycle: generation, dispatch, results, read-back. It knows no system from another.

Server-side steps (``generate_orders``, ``transmit``, ``collect_results``) turn files of ``base/`` into
files of ``orders/`` and ``changes/``; agent-side steps (``fulfil_batch``, ``read_back_batch``) touch
only ``orders/`` and the connector.
"""
