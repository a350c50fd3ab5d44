"""What is served while it is restarted: by Weaver, by its peers, and by a bare script."""
