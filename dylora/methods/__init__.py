"""What is trained of a backbone: adapters, all of it, or all of it pruned (FLOP)."""
