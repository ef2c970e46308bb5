# What fission and grid search have in common: learning rates, the probe, and how a
# model is fine-tuned from it. Any value gives way: --cfg-options plan.base.epochs=20
runner_type = 'GenerationRunner'

plan = dict(
    lrs=[1e-3, 5e-4, 1e-4, 5e-5, 1e-5, 5e-6, 1e-6, 1e-7],
    # Linear probing, common to all bases; probe=None leaves it out.
    probe=dict(epochs=10, lr=1e-3),
    # Full fine-tuning. The best epoch and early stopping go by `monitor`: the
    # validation loss, as in the authors' code, or for example monitor='macro_recall',
    # rule='greater'.
    base=dict(epochs=50, monitor='loss', rule='less', patience=8, min_delta=1e-3),
)

# With several processes (tools/dist_train.sh): 'trial', each takes whole trials, and
# what comes out is what one process gives; 'data', all of them train each trial (DDP),
# with the sum of their batches.
parallel = 'trial'

# For trials too small to keep a GPU busy: how many share one, in as many processes.
# These share the images, too: cache_images is then on, unless it is False.
trials_per_device = 1

# Seconds after SIGTERM in which an epoch may still end. Saving comes on top; SLURM and
# torchrun kill after 30 unless told otherwise.
grace_period = 20

# Epochs between two states from which a killed trial goes on, or a time: '3min'.
state_interval = 1

# Decode images once for all trials and data workers: cache_images=True. With options:
# cache_images.short_side=256 shrinks training images once, cache_images.dir=/dev/shm is
# another place than the work directory.
cache_images = dict()
# Speed, by option. Results differ in rounding, so one plan keeps to one choice.
# The order in which convolutions compute fastest: on CPUs, and on GPUs with --amp.
channels_last = False
# Training images are augmented in whole batches, on a GPU if there is one, out of a
# cache as of cache_images: device_pipeline=True. What is drawn differs, see
# docs/speed.md. device_pipeline.images=pinned is another place than the GPU's memory.
device_pipeline = dict()
# torch.compile: compile=True, or with options, compile.mode=max-autotune. For GPUs; on
# CPUs it was no gain. An interrupted run then ends like an unbroken one only up to
# rounding.
compile = dict()

# Classes of unequal size: 'sampling' draws images by how rare their class is, 'loss' is
# the logit-adjusted loss (balanced softmax), of several labels too. With options:
# class_balance=dict(type='loss', tau=0.5). Let plan.base.monitor be a macro metric.
class_balance = dict()

# The plan sets the learning rate and the schedule of each trial.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', weight_decay=1e-2)
)
train_cfg = dict(by_epoch=True, val_interval=1)
