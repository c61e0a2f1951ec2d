"""Training: data, prompts, losses, steps and the loop. Needs the `train` extra."""
