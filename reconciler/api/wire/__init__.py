"""Name the JSON keys: what people and scripts read, what they send. Nothing else names any."""
