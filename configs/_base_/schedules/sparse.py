# Sparse model soups (Zimmer et al. 2024): a dense base is pruned, three copies of it
# are retrained under one mask, their mean is pruned further, and so on. The ingredients
# are the copies of the last phase; tools/soup.py CONFIG --soup uniform makes the soup.
_base_ = './fine_tuning.py'

plan = dict(
    _delete_=True,
    type='SparseSoupPlan',
    lr=1e-4,
    # The fraction of weights that are 0 in the end; each phase removes as large a part
    # of those that are left.
    sparsity=0.9,
    phases=3,
    seeds=[0, 1, 2],
    probe=dict(epochs=10, lr=1e-3),
    base=dict(epochs=50, monitor='loss', rule='less', patience=8, min_delta=1e-3),
    retrain=dict(epochs=10),
)
