"""Many processes and machines: who does what, and who has died.

Knows torch.distributed's store and the files of a work directory, nothing of MMEngine.
"""
