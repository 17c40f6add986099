"""DyLoRA: one low-rank adapter, trained once, that works at every rank of a range (arXiv 2210.07558)."""

__version__ = "0.1.0"
