"""Running a module without training it: batches on their way to it, calls, errors, dry runs."""
