"""A thousand bad days: seeded faults between a real mount and a real Samba, and what they do."""
