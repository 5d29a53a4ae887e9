"""The door of MLflow: who calls, what they may do, whose things they see; everything else is MLflow's own answer."""
