"""Training steps compiled into one graph: forward, loss, penalties, backward and the step of the optimizer."""
