"""What services use of the host, measured when somebody asks."""
