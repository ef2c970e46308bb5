"""The commands: one file each, which says ``run(args)``."""
