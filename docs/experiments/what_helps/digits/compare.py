_base_ = ['./data.py', '../methods.py']

pools = dict(
    fgg=[f'work_dirs/digits/fgg_seed{k}/ingredients.json' for k in range(3)],
    distilled=[
        f'work_dirs/digits/distilled_seed{k}/ingredients.json' for k in range(3)
    ],
    labels_only=[
        f'work_dirs/digits/labels_only_seed{k}/ingredients.json' for k in range(3)
    ],
)

soft_score = 'soft_accuracy'
