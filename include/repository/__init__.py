"""The identity repository: tables, load, history, as-of reads, cookies, audit trail. It decides nothing."""
