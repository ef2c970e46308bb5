_base_ = ['./data.py', '../methods.py']

pools = dict(
    fgg=[f'work_dirs/ham10000/fgg_seed{k}/ingredients.json' for k in range(3)],
    distilled=[
        f'work_dirs/ham10000/distilled_seed{k}/ingredients.json' for k in range(3)
    ],
    labels_only=[
        f'work_dirs/ham10000/labels_only_seed{k}/ingredients.json' for k in range(3)
    ],
)
