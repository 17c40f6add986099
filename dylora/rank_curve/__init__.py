"""A metric over the ranks of one adapter: its summary, table, pictures, and the direction of each metric."""
