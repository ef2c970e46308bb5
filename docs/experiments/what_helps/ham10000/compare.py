_base_ = ['./data.py', '../methods.py']

pools = dict(
    fgg=[f'work_dirs/ham10000/fgg_seed{seed}/ingredients.json' for seed in range(3)],
    # Students of these, such as work_dirs/.../distilled_seed0/ingredients.json.
    distilled=None,
    labels_only=None,
)

# As at training, with the soft scores.
val_evaluator = [
    dict(
        type='MulticlassMetric',
        items=[
            'accuracy',
            'macro_recall',
            'macro_f1',
            'soft_accuracy',
            'soft_macro_recall',
        ],
    ),
    dict(type='AUROC'),
    dict(type='ValidationLoss'),
]
