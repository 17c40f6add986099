"""A backbone that is too large for one device: each process holds a part of it."""
