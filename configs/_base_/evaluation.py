# What all fusions have in common.
_base_ = './analyses.py'

# How candidates are evaluated. None of it changes what is chosen, but dtype may.
evaluation = dict(
    # Images that go through the network at a time; None: what suits the device.
    batch_size=None,
    # Bytes of main memory for the decoded images of one set; more are kept in a file.
    # A GPU that has room for them has them in its own memory.
    cache_memory=4e9,
    # Ends a pass once its candidate can no longer win.
    early_exit=True,
    # Makes batch norm part of the convolutions before it; the same to rounding.
    fold_batch_norm=True,
    # None (float32, on GPUs too), 'tf32', 'bfloat16' or 'float16'.
    dtype=None,
    # Whether the pool stays on the device of the network, where models are added up.
    # None: on a GPU if there is room; True on a CPU: in main memory.
    keep_pool=None,
    # What several processes share out (tools/dist_soup.sh): 'candidates', 'images' of
    # each pass, or 'auto': candidates, if all have room for the images.
    parallel='auto',
    # True: images may be shown in another way than in training, as at another size.
    other_view=False,
)
