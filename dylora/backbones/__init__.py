"""Pretrained models: loading them, their tokenizers, and who they are."""
