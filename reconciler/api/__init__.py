"""What programs see: the HTTP interface and its JSON."""
