_base_ = ['./data.py', '../methods.py']

pools = dict(
    fgg=[f'work_dirs/ham10000_reversed/fgg_seed{k}/ingredients.json' for k in range(3)],
    distilled=[
        f'work_dirs/ham10000_reversed/distilled_seed{k}/ingredients.json'
        for k in range(3)
    ],
    labels_only=[
        f'work_dirs/ham10000_reversed/labels_only_seed{k}/ingredients.json'
        for k in range(3)
    ],
)
