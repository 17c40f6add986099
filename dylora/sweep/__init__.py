"""Experiments of many runs: what a sweep file says, which runs it means, and how they are carried out."""
