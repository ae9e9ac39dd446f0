"""Training steps compiled to one graph: forward, loss, penalties, backward and optimizer step."""
