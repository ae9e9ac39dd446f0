"""Optimizers of torch that kerastorch implements, because `torch.optim` does not have their rules."""
