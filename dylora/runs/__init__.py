"""Run folders and what lies in them: records, checkpoints."""
