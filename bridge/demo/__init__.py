"""A simulated OVHcloud, served over real HTTP."""
