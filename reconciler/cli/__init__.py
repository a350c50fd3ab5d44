"""What people see: a thin client that parses, calls and prints."""
