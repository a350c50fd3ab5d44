"""Pure verbs: every decision, as a function of its arguments."""
