# FedSoup (Chen et al. 2023): clients, such as hospitals, train apart and share their
# parameters; in the last quarter of the rounds each pools those global models that help
# it on its own validation. All clients are simulated here.
#
# A config says who they are, by what gives each its training and validation data:
#     plan = dict(clients={
#         source: {
#             'train_dataloader.dataset.table.filter': dict(source=source),
#             'val_dataloader.dataset.table.filter': dict(source=source),
#         }
#         for source in ('north', 'south')
#     })
_base_ = './fine_tuning.py'

plan = dict(
    _delete_=True,
    type='FedSoupPlan',
    lr=1e-4,
    rounds=20,
    # Of local training in a round.
    epochs=1,
    # The part of the rounds after which models are patched.
    begin=0.75,
    monitor='accuracy',
    rule='greater',
    probe=dict(epochs=10, lr=1e-3),
)
