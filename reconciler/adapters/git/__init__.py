"""Read the git repository and write changes back to it as commits."""
