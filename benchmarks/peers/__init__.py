"""Ready-made servers a user would pick, run from environments of their own."""
