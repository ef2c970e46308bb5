# FedSoup, the four sources of HAM10000 as clients: 1 + 4 rounds of an epoch, on 7,014
# images.
_base_ = [
    '../ham10000_sources/data.py',
    '../../../configs/_base_/schedules/fedsoup.py',
]

plan = dict(
    lr=1e-3,
    rounds=4,
    begin=0.5,
    probe=dict(epochs=1),
    clients={
        source: {
            'train_dataloader.dataset.table.filter': dict(source=source),
            'val_dataloader.dataset.table.filter': dict(source=source),
        }
        for source in ('vidir_modern', 'vidir_molemax', 'vienna_dias', 'rosendahl')
    },
)
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
