"""What we measure beside: the bare floor, and ready-made servers a user would pick, in environments of their own."""
