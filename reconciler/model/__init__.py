"""The nouns: frozen dataclasses that every other layer speaks in."""
