"""Manifests as text: read into specs with positions, and edited with comments kept."""
