"""What an integrator may write, and what the loader answers."""
