"""Mutated messages for the wire parser and for the whole client: only clean errors come of them."""
