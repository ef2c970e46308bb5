_base_ = ['./data.py', '../methods.py']

pools = dict(
    fgg=[f'work_dirs/pneumoniamnist/fgg_seed{k}/ingredients.json' for k in range(3)],
    distilled=[
        f'work_dirs/pneumoniamnist/distilled_seed{k}/ingredients.json' for k in range(3)
    ],
    labels_only=[
        f'work_dirs/pneumoniamnist/labels_only_seed{k}/ingredients.json'
        for k in range(3)
    ],
)
