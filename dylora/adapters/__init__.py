"""Nested low-rank adapters in any PyTorch model and any training loop; needs no Lightning."""
