"""`model.check`: a report about data, model and loss before a training."""
