_base_ = ['./data.py', '../methods.py']

# Without students: --cfg-options pools.distilled=None pools.labels_only=None
pools = {
    pool: [f'work_dirs/cifar10/{pool}_seed{seed}/ingredients.json' for seed in range(3)]
    for pool in ('fgg', 'distilled', 'labels_only')
}
soft_score = 'soft_accuracy'
