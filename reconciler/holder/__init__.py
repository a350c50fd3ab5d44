"""The tiny parent of all services, a program of its own."""
