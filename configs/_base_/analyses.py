# Analyses of the pool of any fusion config. Figures and numbers go to
# <work_dir>/<name of the key>/; docs/reading_plots.md says how to read them.

# tools/analysis_tools/lmc.py: the straight lines between pairs of models.
lmc = dict(
    # Where each line is evaluated, both ends included.
    points=9,
    # 'val', 'test' or 'ood/<name>'.
    split='val',
    # None: the metric that selects, and the loss.
    metrics=None,
    # What pairs differ in, such as ['lr', 'seed', 'augmentation', 'cycle',
    # 'base to snapshot']; None: all pairs.
    differ=None,
    # Of each kind of difference a sample of so many pairs; None: all.
    at_most=None,
    seed=0,
    # dict(num_samples=2048): batch norm re-estimated at each point.
    bn_reestimation=None,
    # How the tree beside the matrix joins groups: 'complete', 'average', 'single'.
    linkage='complete',
)

# tools/analysis_tools/loss_surface.py: the plane through three models, or random
# directions from one.
loss_surface = dict(
    # Names of ingredients; None: the best of the three best learning rates.
    models=None,
    # Files of soups to be marked; None: that of the work directory.
    soups=None,
    # Along each axis.
    points=21,
    # Beyond the models on each side, as a share of their extent.
    margin=0.25,
    # 1 or 2: random filter-normalized directions instead of the plane.
    directions=0,
    # How far along these; 1 is as far as the weights themselves are long.
    span=0.2,
    seed=0,
    split='val',
    metrics=None,
    bn_reestimation=None,
)

# tools/analysis_tools/trajectory.py: training over epochs, distances in weight space,
# disagreement of predictions.
trajectory = dict(
    # On which ingredients predict.
    split='val',
    # Ids of bases and fissions to draw; None: all.
    trials=None,
    # From where displacements are seen: 'probe', a checkpoint file, or None, 0.
    origin='probe',
    metrics=None,
)

# tools/analysis_tools/soup_tree.py: what the soup of the work directory is made of.
soup_tree = dict(
    # Sets on which each node is evaluated, such as ['val', 'test']; None: the report
    # is enough.
    splits=None,
    metrics=None,
)

# tools/analysis_tools/overlays.py, of segmentation: masks over images, of the soup of
# the work directory and of a single model.
overlays = dict(
    split='test',
    # File of the soup; None: that of the work directory.
    soup=None,
    # Name of the ingredient beside it; None: the best on validation.
    beside=None,
    cases=6,
    # Those that the soup changes most; 'worst': those with most wrong pixels of it.
    order='change',
)
