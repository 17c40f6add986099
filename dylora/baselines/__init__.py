"""What DyLoRA is compared with: truncated LoRA, full fine-tuning, factorised low-rank pruning (FLOP)."""
