"""LightningModules that train an adapter and evaluate it at every rank."""
