"""Random trainings beside loops written in plain torch."""
