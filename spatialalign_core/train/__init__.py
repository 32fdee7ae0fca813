"""Preference training of a LoRA: losses, adapter, loop, checkpoints."""
