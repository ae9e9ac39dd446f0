"""What all packages use: errors, names, nested tensors, training modes, random states, configurations."""
