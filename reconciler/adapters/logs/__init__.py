"""Services' logs as files: read backwards and forwards, followed, searched; never copied."""
