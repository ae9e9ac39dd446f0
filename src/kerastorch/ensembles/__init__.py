"""Ensembles: several models of one kind, whose predictions are averaged."""
