"""What tests of several rooms share: one place to import each helper from."""
