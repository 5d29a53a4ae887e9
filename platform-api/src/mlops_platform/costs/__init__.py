"""What the platform costs: estimates of a plan before it is applied, bills and allocations after."""
