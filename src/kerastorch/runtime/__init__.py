"""Running a module without training it: transferring batches, calling it, explaining errors, dry runs."""
