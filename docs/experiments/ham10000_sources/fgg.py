# One fission a source, from one probe of all: 2 x 7,014 + 10 x 7,014 images.
_base_ = ['./data.py', '../fission.py']

plan = dict(
    lrs=[1e-3],
    domains={
        source: {'train_dataloader.dataset.table.filter': dict(source=source)}
        for source in ('vidir_modern', 'vidir_molemax', 'vienna_dias', 'rosendahl')
    },
)
