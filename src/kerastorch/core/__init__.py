"""What every room uses: errors, names, nested tensors, modes, random states, settings as data."""
