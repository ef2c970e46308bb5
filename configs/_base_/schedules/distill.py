# Distillation, after a pool: a student in one network of what the pool's models say
# together. It starts from a model made of the pool; its targets are half labels, half
# the averaged probabilities of the teacher, which sees each image as the student will.
# A config gives plan.pool, and plan.start if it is not the best single model.
_base_ = './fine_tuning.py'

plan = dict(
    _delete_=True,
    type='DistillationPlan',
    # 'best' by student.monitor; or a file, such as work_dirs/gog_X/soup.pth; or a name.
    start='best',
    # None: all of the pool, equally. Names, weights by name, or a soup's report.json.
    teacher=None,
    # 0: by labels alone, the control.
    share=0.5,
    temperature=1.0,
    # Each epoch has a view of its own; views=2 shows two in turn, at fewer passes of
    # the teacher.
    views=None,
    # Labels that are missing stay so; 'teacher': the teacher's are taken.
    missing='ignore',
    # Images without labels, of which the teacher alone speaks: unlabelled=FOLDER
    lrs=[5e-4],
    seeds=[0],
    student=dict(epochs=10, monitor='loss', rule='less', patience=None),
)
