"""The numbers behind every claim of speed; each script prints what it measured and on what."""
