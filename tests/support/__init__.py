"""What test files share: data, models, trainings that are interrupted, and how they are compared."""
