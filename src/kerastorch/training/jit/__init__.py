"""Compiled training steps: forward, loss, backward and optimizer step in one graph."""
