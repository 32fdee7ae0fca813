"""Video models: what a family is, and how a folder becomes one."""
