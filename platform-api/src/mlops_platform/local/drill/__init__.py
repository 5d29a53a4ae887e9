"""Killing a platform under load and looking what its clients lost: on a scratch platform, never on the operator's own."""
