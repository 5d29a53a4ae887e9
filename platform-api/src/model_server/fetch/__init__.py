"""Beside a model server in a pod: the statement and the list of withdrawn approvals, fetched for it."""
